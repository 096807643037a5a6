/**
 * drey-client/presence: who is here, and what each shows.
 */
export type { Limits, Moved, Peer } from "./frames.ts";
export type { Person } from "./peers.ts";
export { type JoinOptions, join, Room, type RoomEvents, type RoomStatus } from "./room.ts";
export type { Sockets } from "./socket.ts";
