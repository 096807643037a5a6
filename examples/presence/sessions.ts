/**
 * Development only: signs people in by their names, and lets them into one workspace. In your application its own sign-in gives
 * the token, and the workspace is the one that is open.
 */

export interface Session {
  api: string;
  org: string;
  workspace: string;
  token: string;
  /** This person's id. */
  user: string;
}

/** Where drey is, and who makes its tokens. */
export interface Stack {
  api: string;
  issuer: string;
}

interface Thing {
  id: string;
  name: string;
}

const NAME = "Everybody's cursor";

export class Sessions {
  readonly #stack: Stack;
  readonly #sessions = new Map<string, Promise<Session>>();
  #place: Promise<{ owner: string; org: string; workspace: string }> | undefined;

  constructor(stack: Stack) {
    this.#stack = stack;
  }

  /** The same name is the same person. */
  async of(name: string): Promise<Session> {
    const known = this.#sessions.get(name);
    if (!known) {
      const session = this.#enter(name);
      this.#sessions.set(name, session);
      session.catch(() => this.#sessions.delete(name));
      return session;
    }
    return { ...(await known), token: await this.#token(name) };
  }

  async #enter(name: string): Promise<Session> {
    this.#place ??= this.#open();
    this.#place.catch(() => {
      this.#place = undefined;
    });
    const { owner, org, workspace } = await this.#place;
    const token = await this.#token(name);
    const me = await this.#call<{ id: string; email: string }>(token, "GET", "/v1/me");
    const role = { role: "viewer" };
    const isMember = (await this.#try(token, `/v1/workspaces/${workspace}`)) !== undefined;
    if (!isMember) {
      const guest = { email: me.email, role: "member" };
      const invited = await this.#call<{ token: string }>(
        owner,
        "POST",
        `/v1/orgs/${org}/invitations`,
        guest,
      );
      await this.#call(token, "POST", "/v1/invitations/accept", { token: invited.token });
      await this.#call(owner, "PUT", `/v1/workspaces/${workspace}/members/${me.id}`, role);
    }
    return { api: this.#stack.api, org, workspace, token, user: me.id };
  }

  /** The workspace, as its host finds or makes it. */
  async #open(): Promise<{ owner: string; org: string; workspace: string }> {
    const owner = await this.#token("host");
    const org = await this.#find(owner, "/v1/orgs");
    const workspace = await this.#find(owner, `/v1/orgs/${org}/workspaces`);
    return { owner, org, workspace };
  }

  async #find(owner: string, path: string): Promise<string> {
    const { data } = await this.#call<{ data: Thing[] }>(owner, "GET", path);
    const found = data.find(({ name }) => name === NAME);
    return (found ?? (await this.#call<Thing>(owner, "POST", path, { name: NAME }))).id;
  }

  async #token(name: string): Promise<string> {
    const sub = `cursor-${encodeURIComponent(name).replaceAll("%", "").toLowerCase()}`;
    const claims = { sub, email: `${sub}@example.test`, name };
    const answer = await fetch(`${this.#stack.issuer}/token`, {
      method: "POST",
      body: JSON.stringify(claims),
    });
    return ((await answer.json()) as { access_token: string }).access_token;
  }

  async #try(token: string, path: string): Promise<unknown> {
    return this.#call(token, "GET", path).catch(() => undefined);
  }

  async #call<T>(token: string, method: string, path: string, body?: object): Promise<T> {
    const answer = await fetch(`${this.#stack.api}${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: body ? JSON.stringify(body) : null,
    });
    const told = (await answer.json()) as T & { detail?: string };
    if (!answer.ok) throw new Error(`${method} ${path}: ${told.detail}`);
    return told;
  }
}
