/**
 * Server-sent events (WHATWG HTML §9.2.6). Comments say that somebody is there.
 */

export interface ServerEvent {
  name: string;
  data: string;
  /** Where to go on from, if the event says. */
  id?: string;
}

/** The events of a text that comes in parts. One that is not whole when the text ends is none. */
export async function* eventsOf(parts: AsyncIterable<string>): AsyncGenerator<ServerEvent> {
  let rest = "";
  let event: Coming = { name: "message", data: [] };
  for await (const part of parts) {
    const lines = (rest + part).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line !== "") take(event, line);
      else if (event.data.length > 0) yield { ...event, data: event.data.join("\n") };
      if (line === "") event = { name: "message", data: [] };
    }
  }
}

type Coming = Omit<ServerEvent, "data"> & { data: string[] };

function take(event: Coming, line: string): void {
  const [, field, value = ""] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? [];
  if (field === "event") event.name = value;
  else if (field === "data") event.data.push(value);
  else if (field === "id") event.id = value;
}
