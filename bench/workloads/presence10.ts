import { room } from "../room.ts";

export default room({ size: 10, speakers: 10, hz: 30 });
