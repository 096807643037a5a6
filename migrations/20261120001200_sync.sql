-- migrate:up

-- The things a scope can be of, beside the workspace itself and its projects. A row appears when a push upserts an
-- entity of that type in the scope of the workspace or of a project (sync_user: when the user first writes), and
-- stays when the entity is deleted: its scope keeps its log.
create table collection (
  workspace_id  uuid        not null,
  collection_id text        not null constraint collection_id_check check (collection_id ~ '^[A-Za-z0-9_-]{1,64}$'),
  created_at    timestamptz not null default now(),
  constraint collection_pkey primary key (workspace_id, collection_id),
  constraint collection_workspace_fkey foreign key (workspace_id) references workspace on delete cascade
);

create table environment (
  workspace_id   uuid        not null,
  environment_id text        not null constraint environment_id_check check (environment_id ~ '^[A-Za-z0-9_-]{1,64}$'),
  created_at     timestamptz not null default now(),
  constraint environment_pkey primary key (workspace_id, environment_id),
  constraint environment_workspace_fkey foreign key (workspace_id) references workspace on delete cascade
);

create table sync_user (
  workspace_id uuid        not null,
  user_id      uuid        not null,
  created_at   timestamptz not null default now(),
  constraint sync_user_pkey primary key (workspace_id, user_id),
  constraint sync_user_workspace_fkey foreign key (workspace_id) references workspace on delete cascade
);

-- One stream of changes. It exists only through a thing of its own workspace.
create table sync_scope (
  workspace_id     uuid        not null,
  scope_type       text        not null,
  -- As clients write it: the TypeID of the workspace, project or user, or the entity's id.
  scope_id         text        not null,
  -- Changes when the scope is restored: offsets of another generation are gone.
  generation       bigint      not null default 1,
  -- The newest change. Gapless: it grows by the number of changes, under this row's lock, with the changes.
  epoch            bigint      not null default 0,
  -- Changes up to here have been truncated; never above what the archive has taken.
  floor            bigint      not null default 0,
  archived_through bigint      not null default 0,
  project_id       uuid,
  user_id          uuid,
  collection_id    text,
  environment_id   text,
  created_at       timestamptz not null default now(),
  constraint sync_scope_pkey primary key (workspace_id, scope_type, scope_id),
  constraint sync_scope_thing_check check (case scope_type
    when 'workspace' then num_nonnulls(project_id, user_id, collection_id, environment_id) = 0
    when 'project' then project_id is not null and num_nonnulls(user_id, collection_id, environment_id) = 0
    when 'user' then user_id is not null and num_nonnulls(project_id, collection_id, environment_id) = 0
    when 'collection' then collection_id = scope_id and num_nonnulls(project_id, user_id, environment_id) = 0
    when 'environment' then environment_id = scope_id and num_nonnulls(project_id, user_id, collection_id) = 0
    else false end),
  constraint sync_scope_floor_check check (floor <= archived_through and archived_through <= epoch),
  constraint sync_scope_workspace_fkey foreign key (workspace_id) references workspace on delete cascade,
  constraint sync_scope_project_fkey foreign key (workspace_id, project_id) references project on delete cascade,
  constraint sync_scope_user_fkey foreign key (workspace_id, user_id) references sync_user on delete cascade,
  constraint sync_scope_collection_fkey foreign key (workspace_id, collection_id) references collection on delete cascade,
  constraint sync_scope_environment_fkey foreign key (workspace_id, environment_id) references environment on delete cascade
);
-- Serves: the cascade from a deleted project.
create index sync_scope_project_idx on sync_scope (workspace_id, project_id) where project_id is not null;

-- The log. Its primary key is the pull index; scope_id in it makes the hash partitions possible.
create table sync_change (
  workspace_id uuid        not null,
  scope_type   text        not null,
  scope_id     text        not null,
  server_epoch bigint      not null,
  entity_type  text        not null,
  entity_id    text        not null,
  operation    text        not null constraint sync_change_operation_check check (operation in ('insert', 'update', 'delete')),
  -- `json`, not `jsonb`: it goes out byte for byte as it came in.
  value        json,
  clock        jsonb       not null,
  user_id      uuid        not null,
  client_id    text        not null,
  mutation_id  bigint      not null,
  txid         bigint      not null,
  -- At most this many bytes of the stream: what a chunk's cap is counted in.
  bytes        int         not null,
  created_at   timestamptz not null default now(),
  constraint sync_change_pkey primary key (workspace_id, scope_type, scope_id, server_epoch),
  constraint sync_change_value_check check ((operation = 'delete') = (value is null)),
  constraint sync_change_scope_fkey foreign key (workspace_id, scope_type, scope_id) references sync_scope on delete cascade
) partition by hash (scope_id);

-- The latest of each entity; a deleted one stays as a tombstone.
create table sync_state (
  workspace_id    uuid        not null,
  scope_type      text        not null,
  scope_id        text        not null,
  entity_type     text        not null,
  entity_id       text        not null,
  -- The epoch of its scope at which it was last written.
  version         bigint      not null,
  value           json,
  clock           jsonb       not null,
  deleted         boolean     not null,
  client_id       text        not null,
  mutation_id     bigint      not null,
  -- The newest version written by another client than client_id (0: none), so that "since written only by this
  -- client" is one comparison of integers.
  foreign_version bigint      not null default 0,
  updated_at      timestamptz not null default now(),
  constraint sync_state_pkey primary key (workspace_id, scope_type, scope_id, entity_type, entity_id),
  constraint sync_state_scope_fkey foreign key (workspace_id, scope_type, scope_id) references sync_scope on delete cascade
) partition by hash (scope_id);

do $$
begin
  for n in 0..15 loop
    execute format('create table sync_change_%s partition of sync_change for values with (modulus 16, remainder %s)', n, n);
    execute format('create table sync_state_%s partition of sync_state for values with (modulus 16, remainder %s)', n, n);
    -- Nobody but the owner reaches a partition by its own name; RLS would refuse there too.
    execute format('alter table sync_change_%s enable row level security, force row level security', n);
    execute format('alter table sync_state_%s enable row level security, force row level security', n);
  end loop;
end $$;

-- A device or tab. It belongs to the user who was first seen with it.
create table sync_client (
  workspace_id     uuid        not null,
  client_id        text        not null,
  user_id          uuid        not null,
  session_id       uuid,
  last_mutation_id bigint      not null default 0,
  created_at       timestamptz not null default now(),
  seen_at          timestamptz not null default now(),
  constraint sync_client_pkey primary key (workspace_id, client_id),
  constraint sync_client_workspace_fkey foreign key (workspace_id) references workspace on delete cascade
);

-- What became of each mutation, until the client says that it knows.
create table sync_mutation (
  workspace_id uuid        not null,
  client_id    text        not null,
  mutation_id  bigint      not null,
  outcome      jsonb       not null,
  created_at   timestamptz not null default now(),
  constraint sync_mutation_pkey primary key (workspace_id, client_id, mutation_id),
  constraint sync_mutation_client_fkey foreign key (workspace_id, client_id) references sync_client on delete cascade
);

grant select, insert, update, delete on collection, environment, sync_user, sync_scope, sync_state, sync_client, sync_mutation to drey_app;
grant select, insert on sync_change to drey_app;

do $$
declare
  t text;
begin
  foreach t in array array['collection', 'environment', 'sync_user', 'sync_scope', 'sync_change', 'sync_state', 'sync_client', 'sync_mutation'] loop
    execute format('alter table %I enable row level security, force row level security', t);
    execute format('create policy %I on %I using (workspace_id = app_workspace()) with check (workspace_id = app_workspace())', t || '_tenant', t);
  end loop;
end $$;

-- migrate:down
do $$ begin raise exception 'migrations are forward-only: write the next one instead'; end $$;
