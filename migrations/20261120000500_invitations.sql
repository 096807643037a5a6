-- migrate:up

create table invitation (
  org_id           uuid        not null,
  invitation_id    uuid        not null,
  email            text        not null,
  role             text        not null constraint invitation_role_check check (role in ('owner', 'admin', 'member')),
  workspace_id     uuid,
  workspace_role   text        constraint invitation_workspace_role_check check (workspace_role in ('admin', 'editor', 'viewer')),
  -- SHA-256 of the token: the token itself is nowhere.
  token_digest     bytea       not null constraint invitation_digest_check check (octet_length(token_digest) = 32),
  version          bigint      not null default 1,
  expires_at       timestamptz not null,
  accepted_at      timestamptz,
  accepted_by      uuid,
  -- The request that accepted it: the same request again is the Worker's retry of a lost commit.
  accepted_request text,
  created_by       uuid        not null,
  created_at       timestamptz not null default now(),
  constraint invitation_pkey primary key (org_id, invitation_id),
  constraint invitation_workspace_check check ((workspace_id is null) = (workspace_role is null)),
  constraint invitation_org_fkey foreign key (org_id) references org on delete cascade,
  constraint invitation_workspace_fkey foreign key (org_id, workspace_id)
    references workspace (org_id, workspace_id) on delete cascade
);
-- Serves: the invitations of an organisation, newest first.
create index invitation_list_idx on invitation (org_id, created_at desc, invitation_id desc);
-- Serves: invitation_accept, which knows nothing but the digest. Not unique: a unique key begins with its tenant.
create index invitation_digest_idx on invitation (token_digest);
-- Serves: the cascade from a deleted workspace.
create index invitation_workspace_idx on invitation (org_id, workspace_id) where workspace_id is not null;

grant select, insert, update, delete on invitation to drey_app;
grant select, update on invitation to drey_definer;

alter table invitation enable row level security, force row level security;
create policy invitation_tenant on invitation
  using (org_id = app_org()) with check (org_id = app_org());

-- migrate:down
do $$ begin raise exception 'migrations are forward-only: write the next one instead'; end $$;
