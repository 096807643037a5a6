/**
 * The tools that must be on the machine already. Each missing or too old one is named with the line that installs it.
 */
import { output } from "./run.mjs";

const OLDEST_NODE = 20;

export function checkNode() {
  const version = process.versions.node;
  if (Number(version.split(".")[0]) < OLDEST_NODE) {
    throw new Error(
      `Node ${version} is too old, ${OLDEST_NODE} or newer is needed. Install:\n  ${install("nodejs")}`,
    );
  }
  if (output("npm", ["--version"]) === undefined) throw missing(["npm", install("npm")]);
}

/** What compiling the Worker and its build tools takes. */
export function checkRust() {
  const rustup = "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y && . ~/.cargo/env";
  const needed = [
    ["rustup", ["--version"], "rustup", rustup],
    ["cargo", ["--version"], "cargo", rustup],
    ["cc", ["--version"], "a C compiler (cc)", install("cc")],
    ["pkg-config", ["--version"], "pkg-config", install("pkg-config")],
    ["pkg-config", ["--exists", "openssl"], "the OpenSSL headers", install("openssl")],
  ];
  const absent = needed.filter(([command, args]) => output(command, args) === undefined);
  if (absent.length > 0) throw missing(...absent.map(([, , name, line]) => [name, line]));
}

function missing(...tools) {
  const lines = tools.map(([name, line]) => `  missing: ${name}. Install:  ${line}`);
  return new Error(`this machine lacks what the project is built with\n${lines.join("\n")}`);
}

/** Package names by package manager; the first manager found on PATH is suggested. */
const MANAGERS = {
  "apt-get": ["apt-get install -y", { cc: "build-essential", openssl: "libssl-dev" }],
  dnf: ["dnf install -y", { cc: "gcc", "pkg-config": "pkgconf-pkg-config", openssl: "openssl-devel" }],
  apk: ["apk add", { cc: "build-base", "pkg-config": "pkgconf", openssl: "openssl-dev" }],
  pacman: ["pacman -S --noconfirm", { cc: "base-devel", "pkg-config": "pkgconf", openssl: "openssl" }],
  brew: ["brew install", { cc: "gcc", nodejs: "node", npm: "node", openssl: "openssl@3" }],
};

function install(tool) {
  const found = Object.keys(MANAGERS).find((manager) => output(manager, ["--version"]) !== undefined);
  const [line, names] = MANAGERS[found ?? "apt-get"];
  const sudo = process.getuid?.() === 0 || found === "brew" ? "" : "sudo ";
  return `${sudo}${line} ${names[tool] ?? tool}`;
}
