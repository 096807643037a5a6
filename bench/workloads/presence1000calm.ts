import { room } from "../room.ts";

/** Two who move are what the peer keeps up with: telling a thousand takes it 30 ms. */
export default room({ size: 1000, speakers: 2, hz: 10 }, { name: "presence1000calm", bound: true });
