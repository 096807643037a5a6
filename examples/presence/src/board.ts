/** Draws who is here: a list of people, and a cursor for each of their tabs. */
import type { Peer, Person } from "drey-client/presence";

/** What everybody shows. Shares of the board, so that windows of different sizes agree. */
export interface Shown {
  x: number;
  y: number;
  words: string;
}

/** Dark enough for white letters, and told apart with any eyes by the names beside them. */
const COLOURS = ["#b4441f", "#1f6feb", "#2d7d46", "#8a3ffc", "#b3286b", "#0b7285", "#8a5a00", "#5b4bc4"];
/** One's own cursor among the others': no client has this id. */
const OWN = "";
const ARROW = "M2 1.5 19 12.2 11.4 13.6 7.6 20.4Z";

export class Board {
  readonly #board: HTMLElement;
  readonly #people: HTMLElement;
  readonly #news: HTMLElement;
  readonly #cursors = new Map<string, HTMLElement>();
  #names = new Map<string, string>();
  #listed = "";

  constructor(board: HTMLElement, people: HTMLElement, news: HTMLElement) {
    [this.#board, this.#people, this.#news] = [board, people, news];
    new ResizeObserver(() => this.#place()).observe(board);
  }

  draw(others: Person[], own: { id: string; name: string; shown: Shown | null }): void {
    const tabs = others.flatMap((person) => person.tabs);
    const shown = new Set(tabs.map(({ client_id }) => client_id));
    for (const [id, cursor] of this.#cursors) {
      if (shown.has(id) || id === OWN) continue;
      cursor.remove();
      this.#cursors.delete(id);
    }
    for (const tab of tabs) this.#move(tab.client_id, nameOf(tab), tab.user_id, shownOf(tab));
    if (own.shown) this.#move(OWN, "You", own.id, own.shown);
    this.#place();
    this.#list(others, own);
    this.#tell(others.filter(({ user_id }) => user_id !== own.id));
  }

  #move(id: string, name: string, user: string, { x, y, words }: Shown): void {
    const cursor = this.#cursors.get(id) ?? this.#made(id);
    cursor.style.setProperty("--own", colourOf(user));
    Object.assign(cursor.dataset, { x, y, name });
    const [label, said] = [cursor.querySelector("b"), cursor.querySelector("q")];
    if (label) label.textContent = name;
    if (said) said.textContent = words;
  }

  #made(id: string): HTMLElement {
    const cursor = document.createElement("div");
    cursor.className = "cursor";
    // The list and the announcements say the same to who does not see it.
    cursor.ariaHidden = "true";
    cursor.innerHTML = `<svg width="22" height="22" viewBox="0 0 22 22"><path d="${ARROW}" fill="currentColor" stroke="#fff" stroke-width="1.5"/></svg><span><b></b><q></q></span>`;
    this.#cursors.set(id, cursor);
    this.#board.append(cursor);
    return cursor;
  }

  #place(): void {
    const { clientWidth: width, clientHeight: height } = this.#board;
    for (const { style, dataset } of this.#cursors.values()) {
      style.translate = `${Number(dataset.x) * width}px ${Number(dataset.y) * height}px`;
    }
  }

  #list(others: Person[], own: { id: string; name: string }): void {
    const rest = others.filter(({ user_id }) => user_id !== own.id);
    const ownTabs = others.find(({ user_id }) => user_id === own.id)?.tabs.length ?? 0;
    const entries = [
      entry(own.id, own.name, "you", ownTabs + 1),
      ...rest.map((person) => entry(person.user_id, nameOf(person), "", person.tabs.length)),
    ];
    // Most changes are moves, of which the list tells nothing.
    const text = entries.map(({ outerHTML }) => outerHTML).join("");
    if (text !== this.#listed) this.#people.replaceChildren(...entries);
    this.#listed = text;
  }

  /** Comings and goings, in words. */
  #tell(others: Person[]): void {
    const names = new Map(others.map((person) => [person.user_id, nameOf(person)]));
    const came = [...names].filter(([id]) => !this.#names.has(id)).map(([, name]) => `${name} is here.`);
    const went = [...this.#names].filter(([id]) => !names.has(id)).map(([, name]) => `${name} has left.`);
    this.#names = names;
    if (came.length + went.length > 0) this.#news.textContent = [...came, ...went].join(" ");
  }
}

function entry(id: string, name: string, note: string, tabs: number): HTMLElement {
  const item = document.createElement("li");
  item.style.setProperty("--own", colourOf(id));
  const face = document.createElement("span");
  [face.className, face.ariaHidden, face.textContent] = ["face", "true", name.slice(0, 1).toUpperCase()];
  const small = document.createElement("small");
  small.textContent = [note, tabs > 1 ? `${tabs} tabs` : ""].filter(Boolean).join(", ");
  item.append(face, name, small);
  return item;
}

function nameOf({ name, user_id }: Pick<Peer, "name" | "user_id">): string {
  return name ?? user_id.slice(-6);
}

/** Others may show anything. */
function shownOf({ state }: Pick<Peer, "state">): Shown {
  const share = (value: unknown) => Math.min(1, Math.max(0, Number(value) || 0));
  const { x, y, words } = state;
  return { x: share(x), y: share(y), words: typeof words === "string" ? words.slice(0, 60) : "" };
}

function colourOf(user: string): string {
  const sum = [...user].reduce((total, letter) => (31 * total + letter.charCodeAt(0)) % 65_536, 7);
  return COLOURS[sum % COLOURS.length] ?? "#1c2430";
}
