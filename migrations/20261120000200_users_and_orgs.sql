-- migrate:up

-- A person as an issuer knows him. Not a tenant's table: it is the one place where (issuer, subject) must be
-- unique everywhere. Written by user_seen alone.
create table user_account (
  user_id    uuid        constraint user_account_pkey primary key,
  issuer     text        not null,
  subject    text        not null,
  email      text,
  name       text,
  created_at timestamptz not null default now(),
  constraint user_account_subject_key unique (issuer, subject)
);

create table org (
  org_id      uuid        constraint org_pkey primary key,
  name        text        not null constraint org_name_check check (length(name) between 1 and 100),
  plan        text        not null default 'free'
              constraint org_plan_check check (plan in ('free', 'team', 'business', 'enterprise')),
  region      text        not null default 'weur'
              constraint org_region_check check (region in ('wnam', 'enam', 'sam', 'weur', 'eeur', 'apac', 'oc', 'afr', 'me')),
  version     bigint      not null default 1,
  revision    bigint      not null default 1,
  authz_epoch bigint      not null default 1,
  created_by  uuid        not null,
  created_at  timestamptz not null default now(),
  updated_at  timestamptz not null default now()
);

create table org_member (
  org_id         uuid        not null,
  user_id        uuid        not null,
  role           text        not null constraint org_member_role_check check (role in ('owner', 'admin', 'member')),
  version        bigint      not null default 1,
  -- The organisation's own created_at, which never changes: a user's list of organisations pages by it.
  org_created_at timestamptz not null,
  created_at     timestamptz not null default now(),
  constraint org_member_pkey primary key (org_id, user_id),
  constraint org_member_org_fkey foreign key (org_id) references org on delete cascade,
  constraint org_member_user_fkey foreign key (user_id) references user_account
);
-- Serves: the members of an organisation, newest first.
create index org_member_list_idx on org_member (org_id, created_at desc, user_id desc);
-- Serves: the organisations of a user, newest first.
create index org_member_user_idx on org_member (user_id, org_created_at desc, org_id desc);

grant select on user_account to drey_app;
grant select, insert, update, delete on org, org_member to drey_app;
grant select, insert, update on user_account, org, org_member to drey_definer;

-- migrate:down
do $$ begin raise exception 'migrations are forward-only: write the next one instead'; end $$;
