import { pushes } from "../pushes.ts";

export default pushes(100, 4, 1.3);
