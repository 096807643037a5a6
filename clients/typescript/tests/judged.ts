/** The runtime's WebSocket with a judge: what a client says and is told has to be in docs/asyncapi.yaml. */
import { judgeHeard, judgeSaid } from "../../../tests/edge/frames.ts";

export class JudgedSocket extends WebSocket {
  constructor(url: string, protocols: string[]) {
    super(url, protocols);
    super.addEventListener("message", ({ data }) => judgeHeard(String(data)));
  }

  override send(text: string): void {
    judgeSaid(text);
    super.send(text);
  }
}
