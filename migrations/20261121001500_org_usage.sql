-- migrate:up

-- What an organisation has used of each UTC day. A day is a row of its own: roll-over needs no job, and doing it twice
-- does nothing. `used` counts what gates have reserved, before it is spent.
create table org_usage (
  org_id uuid   not null,
  day    date   not null,
  used   bigint not null constraint org_usage_used_check check (used >= 0),
  constraint org_usage_pkey primary key (org_id, day),
  constraint org_usage_org_fkey foreign key (org_id) references org on delete cascade
);

grant select, insert, update on org_usage to drey_app;

alter table org_usage enable row level security, force row level security;
create policy org_usage_tenant on org_usage
  using (org_id = app_org()) with check (org_id = app_org());

-- Counts as many of the wanted units as the quota has left, and what is owed in any case. Two callers at once queue on
-- the row: together they never pass the quota.
create function quota_reserve(p_org uuid, p_day date, p_wanted bigint, p_owed bigint, p_quota bigint,
                              out units bigint, out used bigint)
language plpgsql as $$
begin
  insert into org_usage as u (org_id, day, used) values (p_org, p_day, 0) on conflict (org_id, day) do nothing;
  select u.used + p_owed into quota_reserve.used
    from org_usage u where u.org_id = p_org and u.day = p_day for no key update;
  units := greatest(0, least(p_wanted, p_quota - quota_reserve.used));
  used := quota_reserve.used + units;
  update org_usage u set used = quota_reserve.used where u.org_id = p_org and u.day = p_day;
end $$;

-- migrate:down
do $$ begin raise exception 'migrations are forward-only: write the next one instead'; end $$;
