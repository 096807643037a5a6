import { room } from "../room.ts";

/** About half of what the peer keeps up with on one processor. */
export default room({ size: 100, speakers: 15, hz: 10 });
