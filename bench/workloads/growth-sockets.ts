import { grown } from "../room.ts";

/** Ten states a second, whoever reads them. */
export default grown([10, 100, 1000], { speakers: 5, hz: 2 });
