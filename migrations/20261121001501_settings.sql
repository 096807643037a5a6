-- migrate:up

-- Settings of the running deployment: documents that an operator changes without a deploy. One table is both what holds and
-- its history: the newest row of an organisation holds (none, or an empty document: nothing differs), and a row is never
-- changed. The organisation 00000000-… is the platform itself. It refers to nothing by foreign key, because what was decided
-- must outlive whom it was decided for.
create sequence settings_version_seq;

create table settings_change (
  org_id     uuid        not null,
  change_id  uuid        not null default uuid_v7(),
  -- From one sequence for all: a higher one is newer, wherever two are compared.
  version    bigint      not null default nextval('settings_version_seq'),
  document   text        not null constraint settings_change_document_check check (octet_length(document) <= 4096),
  request_id text        not null,
  address    text        not null constraint settings_change_address_check check (length(address) <= 64),
  created_at timestamptz not null default clock_timestamp(),
  constraint settings_change_pkey primary key (org_id, change_id)
);
-- Serves: what holds, at every refresh of a gate.
create unique index settings_change_version_key on settings_change (org_id, version desc);
-- Serves: the history, newest first.
create index settings_change_list_idx on settings_change (org_id, created_at desc, change_id desc);

grant select, insert on settings_change to drey_app;
grant usage on sequence settings_version_seq to drey_app;

alter table settings_change enable row level security, force row level security;
-- A batch that names an organisation and no person is the operator's: every other one acts for somebody. So no statement of a
-- tenant writes here, whatever organisation it names.
create policy settings_change_operator on settings_change
  using (org_id = app_org() and app_user() is null) with check (org_id = app_org() and app_user() is null);
-- What holds for a tenant is read along with it by its gate.
create policy settings_change_read on settings_change for select
  using (org_id = app_org()
    or org_id = (select w.org_id from workspace w where w.workspace_id = app_workspace())
    or (org_id = '00000000-0000-0000-0000-000000000000' and coalesce(app_user(), app_org()) is not null));

create type settings_written as (
  replayed boolean, revision bigint, authz_epoch bigint,
  version bigint, document text, request_id text, address text, created_at timestamptz, platform text, workspaces uuid[]);

-- A document in the place of the one that holds. The same one again adds nothing, so that a repetition after a lost answer
-- is no second change.
create function settings_put(p_request text, p_if_match bigint[], p_org uuid, p_document text, p_address text)
returns settings_written language plpgsql as $$
declare
  platform constant uuid := '00000000-0000-0000-0000-000000000000';
  held settings_change;
begin
  if app_user() is not null or p_org is distinct from app_org() then
    perform refuse('DR403', 'forbidden', 'Settings are the operator''s.');
  end if;
  -- One change at a time: versions come in the order of commits.
  perform pg_advisory_xact_lock(hashtextextended('settings/' || p_org, 0));
  if p_org <> platform and not exists (select 1 from org o where o.org_id = p_org) then
    perform refuse('DR404', 'not-found', 'There is no such organisation.');
  end if;
  select * into held from settings_change s where s.org_id = p_org order by s.version desc limit 1;
  if held.document is distinct from p_document then
    perform check_version(p_if_match, held.version);
    insert into settings_change (org_id, document, request_id, address) values (p_org, p_document, p_request, p_address)
    returning * into held;
  end if;
  return row(false, 0::bigint, 0::bigint, held.version, held.document, held.request_id, held.address, held.created_at,
             (select s.document from settings_change s where s.org_id = platform order by s.version desc limit 1),
             -- The first fifty gates are told at once, the others find out when they refresh.
             array(select w.workspace_id from workspace w where w.org_id = p_org order by w.workspace_id limit 50))::settings_written;
end $$;

-- migrate:down
do $$ begin raise exception 'migrations are forward-only: write the next one instead'; end $$;
