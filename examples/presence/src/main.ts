/** Everybody's cursor. */
import { Client, memoryStore } from "drey-client";
import { join, type Room } from "drey-client/presence";
import type { Session } from "../sessions.ts";
import { Board, type Shown } from "./board.ts";

/** How far an arrow key goes. */
const STEP = 0.02;

function element<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no ${id}`);
  return found as T;
}

const [area, status, words] = [element("board"), element("status"), element<HTMLInputElement>("words")];
const [door, name, problem] = [
  element<HTMLDialogElement>("door"),
  element<HTMLInputElement>("name"),
  element("problem"),
];

/** The token and the place, as the application's own server gives them. */
async function sessionOf(person: string): Promise<Session> {
  const answer = await fetch(`/session?name=${encodeURIComponent(person)}`);
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

function enter(session: Session, person: string): void {
  const client = new Client({ ...session, clientName: "Everybody's cursor", store: memoryStore() });
  const board = new Board(area, element("people"), element("news"));
  let shown: Shown | null = null;
  const room = join(client);
  const draw = () => board.draw(room.people, { id: session.user, name: person, shown });
  const show = (change: Partial<Shown>) => {
    shown = { x: 0.5, y: 0.5, words: words.value, ...shown, ...change };
    room.update({ ...shown }, ["board/main"]);
    draw();
  };
  room.on("change", draw);
  followStatus(room);
  client.on("credential", async () => client.setToken((await sessionOf(person)).token));
  area.addEventListener("pointermove", ({ clientX, clientY }) => {
    const { left, top, width, height } = area.getBoundingClientRect();
    show({ x: (clientX - left) / width, y: (clientY - top) / height });
  });
  area.tabIndex = 0;
  area.addEventListener("keydown", (event) => {
    const [x, y] =
      { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [];
    if (x === undefined || y === undefined) return;
    event.preventDefault();
    const inside = (share: number) => Math.min(1, Math.max(0, share));
    show({ x: inside((shown?.x ?? 0.5) + x * STEP), y: inside((shown?.y ?? 0.5) + y * STEP) });
  });
  words.addEventListener("input", () => show({ words: words.value }));
  element("say").addEventListener("submit", (event) => event.preventDefault());
  draw();
}

function followStatus(room: Room): void {
  const tell = (what: string, text = what) => {
    status.dataset.status = what;
    status.textContent = text;
  };
  room.on("status", (now) => tell(now));
  room.on("ended", ({ message }) => tell("left", `left: ${message}`));
}

/** By the address (`?name=Ada`), or by asking. */
async function comeIn(person: string): Promise<void> {
  try {
    const session = await sessionOf(person);
    enter(session, person);
    if (!door.open) return;
    door.close();
    area.focus();
  } catch (error) {
    problem.textContent = (error as Error).message;
    if (!door.open) door.showModal();
  }
}

door.addEventListener("cancel", (event) => event.preventDefault());
door.querySelector("form")?.addEventListener("submit", (event) => {
  event.preventDefault();
  void comeIn(name.value.trim());
});

const given = new URLSearchParams(location.search).get("name");
if (given) void comeIn(given);
else door.showModal();
