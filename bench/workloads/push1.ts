import { pushes } from "../pushes.ts";

export default pushes(1, 16, 1);
