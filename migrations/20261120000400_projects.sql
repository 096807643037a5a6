-- migrate:up

create table project (
  workspace_id uuid        not null,
  project_id   uuid        not null,
  name         text        not null constraint project_name_check check (length(name) between 1 and 100),
  slug         text        not null constraint project_slug_check check (length(slug) between 1 and 63),
  description  text        not null default '' constraint project_description_check check (length(description) <= 2000),
  version      bigint      not null default 1,
  created_by   uuid        not null,
  created_at   timestamptz not null default now(),
  updated_at   timestamptz not null default now(),
  constraint project_pkey primary key (workspace_id, project_id),
  constraint project_slug_key unique (workspace_id, slug),
  constraint project_workspace_fkey foreign key (workspace_id) references workspace on delete cascade
);
-- Serves: the projects of a workspace, newest first.
create index project_list_idx on project (workspace_id, created_at desc, project_id desc);

grant select, insert, update, delete on project to drey_app;

alter table project enable row level security, force row level security;
create policy project_tenant on project
  using (workspace_id = app_workspace()) with check (workspace_id = app_workspace());

-- migrate:down
do $$ begin raise exception 'migrations are forward-only: write the next one instead'; end $$;
