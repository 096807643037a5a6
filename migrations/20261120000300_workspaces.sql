-- migrate:up

create table workspace (
  workspace_id uuid        constraint workspace_pkey primary key,
  org_id       uuid        not null,
  name         text        not null constraint workspace_name_check check (length(name) between 1 and 100),
  slug         text        not null constraint workspace_slug_check check (length(slug) between 1 and 63),
  -- How many gates share this workspace's load. Fixed at creation.
  gate_shards  int         not null default 1 constraint workspace_gate_shards_check check (gate_shards between 1 and 256),
  version      bigint      not null default 1,
  revision     bigint      not null default 1,
  authz_epoch  bigint      not null default 1,
  created_by   uuid        not null,
  created_at   timestamptz not null default now(),
  updated_at   timestamptz not null default now(),
  constraint workspace_slug_key unique (org_id, slug),
  -- What members and invitations refer to, so that neither can name another organisation's workspace.
  constraint workspace_org_key unique (org_id, workspace_id),
  constraint workspace_org_fkey foreign key (org_id) references org on delete cascade
);
-- Serves: the workspaces of an organisation, newest first.
create index workspace_list_idx on workspace (org_id, created_at desc, workspace_id desc);

create table workspace_member (
  workspace_id         uuid        not null,
  user_id              uuid        not null,
  org_id               uuid        not null,
  role                 text        not null constraint workspace_member_role_check check (role in ('admin', 'editor', 'viewer')),
  version              bigint      not null default 1,
  -- The workspace's own created_at, which never changes: a member's list of workspaces pages by it.
  workspace_created_at timestamptz not null,
  created_at           timestamptz not null default now(),
  constraint workspace_member_pkey primary key (workspace_id, user_id),
  constraint workspace_member_workspace_fkey foreign key (org_id, workspace_id)
    references workspace (org_id, workspace_id) on delete cascade,
  constraint workspace_member_member_fkey foreign key (org_id, user_id) references org_member on delete cascade
);
-- Serves: the members of a workspace, newest first.
create index workspace_member_list_idx on workspace_member (workspace_id, created_at desc, user_id desc);
-- Serves: the workspaces of a member, newest first, and their removal with him.
create index workspace_member_user_idx on workspace_member (org_id, user_id, workspace_created_at desc, workspace_id desc);

grant select, insert, update, delete on workspace, workspace_member to drey_app;
grant select, insert, update on workspace, workspace_member to drey_definer;

-- Row-level security, forced: the tables' owner obeys it too. Reading `for select` may follow ANOTHER table's
-- policy; no policy reads its own. The order of reading is workspace <- org_member <- org, user_account.
alter table workspace enable row level security, force row level security;
create policy workspace_tenant on workspace
  using (workspace_id = app_workspace() or org_id = app_org())
  with check (workspace_id = app_workspace() or org_id = app_org());

alter table workspace_member enable row level security, force row level security;
create policy workspace_member_tenant on workspace_member
  using (workspace_id = app_workspace() or org_id = app_org())
  with check (workspace_id = app_workspace() or org_id = app_org());

alter table org_member enable row level security, force row level security;
create policy org_member_tenant on org_member
  using (org_id = app_org()) with check (org_id = app_org());
-- A user's own memberships, and those that decide who may enter the workspace at hand.
create policy org_member_read on org_member for select
  using (user_id = app_user()
    or org_id = (select w.org_id from workspace w where w.workspace_id = app_workspace()));

alter table org enable row level security, force row level security;
create policy org_tenant on org
  using (org_id = app_org()) with check (org_id = app_org());
create policy org_read on org for select
  using (org_id = (select w.org_id from workspace w where w.workspace_id = app_workspace())
    or exists (select 1 from org_member m where m.org_id = org.org_id and m.user_id = app_user()));

alter table user_account enable row level security, force row level security;
create policy user_account_read on user_account for select
  using (user_id = app_user()
    or exists (select 1 from org_member m where m.org_id = app_org() and m.user_id = user_account.user_id));

-- The caller's role in the organisation, or NULL. SECURITY INVOKER: it sees what the settings let it see.
create function org_role(p_org uuid) returns text language sql stable
as $$ select m.role from org_member m where m.org_id = p_org and m.user_id = app_user() $$;

-- The caller's EFFECTIVE role in the workspace, or NULL: owners and admins of its organisation are its admins.
create function workspace_role(p_workspace uuid) returns text language sql stable
as $$
  select case when o.role in ('owner', 'admin') then 'admin' else m.role end
  from workspace w
  join org_member o on o.org_id = w.org_id and o.user_id = app_user()
  left join workspace_member m on m.workspace_id = w.workspace_id and m.user_id = app_user()
  where w.workspace_id = p_workspace
$$;

-- The caller's role, or the refusal: 404 to who is no member, 403 to who is too little of one.
create function require_org_role(p_org uuid, p_needed text) returns text language plpgsql stable as $$
declare
  caller_role text := org_role(p_org);
begin
  if caller_role is null then
    perform refuse('DR404', 'not-found', 'There is no such organisation.');
  elsif org_rank(caller_role) < org_rank(p_needed) then
    perform refuse('DR403', 'forbidden', format('This needs the role %s in the organisation.', p_needed));
  end if;
  return caller_role;
end $$;

create function require_workspace_role(p_workspace uuid, p_needed text) returns text language plpgsql stable as $$
declare
  caller_role text := workspace_role(p_workspace);
begin
  if caller_role is null then
    perform refuse('DR404', 'not-found', 'There is no such workspace.');
  elsif workspace_rank(caller_role) < workspace_rank(p_needed) then
    perform refuse('DR403', 'forbidden', format('This needs the role %s in the workspace.', p_needed));
  end if;
  return caller_role;
end $$;

-- Locks are taken in one order everywhere: the organisation's row, the workspace's row, the item.
create function lock_org(p_org uuid) returns org language plpgsql as $$
declare
  o org;
begin
  select * into o from org where org_id = p_org for no key update;
  if not found then
    perform refuse('DR404', 'not-found', 'There is no such organisation.');
  end if;
  return o;
end $$;

-- Locks the workspace's row alone: for writes that leave members and the workspace itself as they are.
create function lock_workspace_only(p_workspace uuid) returns workspace language plpgsql as $$
declare
  w workspace;
begin
  select * into w from workspace where workspace_id = p_workspace for no key update;
  if not found then
    perform refuse('DR404', 'not-found', 'There is no such workspace.');
  end if;
  return w;
end $$;

-- Locks the workspace's organisation, then the workspace.
create function lock_workspace(p_workspace uuid) returns workspace language plpgsql as $$
begin
  perform lock_org(w.org_id) from workspace w where w.workspace_id = p_workspace;
  return lock_workspace_only(p_workspace);
end $$;

-- The last statement of every change of an organisation's data: its revision grows by one under its row lock, its
-- authz_epoch too if somebody may do more or less than before: gates keep roles for as long as the epoch stands.
create function bump_org(p_org uuid, p_roles boolean, out revision bigint, out authz_epoch bigint)
language plpgsql as $$
#variable_conflict use_column
begin
  update org o set revision = o.revision + 1, authz_epoch = o.authz_epoch + p_roles::int
  where o.org_id = p_org returning o.revision, o.authz_epoch into revision, authz_epoch;
end $$;

-- The same for a workspace. Its gate compares the sum of both epochs: each only grows, so the sum does.
create function bump_workspace(p_workspace uuid, p_roles boolean, out revision bigint, out authz_epoch bigint)
language plpgsql as $$
#variable_conflict use_column
begin
  update workspace w set revision = w.revision + 1, authz_epoch = w.authz_epoch + p_roles::int
  where w.workspace_id = p_workspace
  returning w.revision, w.authz_epoch + (select o.authz_epoch from org o where o.org_id = w.org_id)
  into revision, authz_epoch;
end $$;

-- migrate:down
do $$ begin raise exception 'migrations are forward-only: write the next one instead'; end $$;
