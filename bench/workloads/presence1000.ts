import { room } from "../room.ts";

/** One in two hundred moves. */
export default room({ size: 1000, speakers: 5, hz: 10 });
