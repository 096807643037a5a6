import { pushes } from "../pushes.ts";

export default pushes(100, 4);
