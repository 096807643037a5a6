-- migrate:up

-- What a client acknowledges ahead of its numbers counts for none of them, and two that pass for one client do not use up
-- each other's numbers.

-- As before, and a client that has a session has to name it.
create or replace function sync_lock_client(p_workspace uuid, p_client text, p_session uuid, p_bounds sync_bounds) returns sync_client
language plpgsql as $$
declare
  client sync_client;
begin
  select * into client from sync_client c where c.workspace_id = p_workspace and c.client_id = p_client for update;
  if not found then
    insert into sync_client (workspace_id, client_id, user_id) values (p_workspace, p_client, app_user())
    on conflict on constraint sync_client_pkey do nothing;
    select * into client from sync_client c where c.workspace_id = p_workspace and c.client_id = p_client for update;
    perform sync_forget_outcomes(p_workspace, p_bounds.client_retention);
  end if;
  if client.user_id <> app_user() then
    perform refuse('DR403', 'client-mismatch', 'This client id belongs to another user.');
  elsif client.seen_at < now() - p_bounds.client_retention then
    perform refuse('DR409', 'client-expired', 'This client was away longer than it is remembered: begin again under another id.');
  end if;
  if p_session is not null then
    perform sync_require_session(p_workspace, p_client, p_session, p_bounds.session_ttl);
  elsif client.session_id is not null then
    perform sync_require_no_session(p_workspace, client.session_id, p_bounds.session_ttl);
  end if;
  return client;
end $$;

-- A client that has a session pushes within it. Who passes for it, a copy of its store say, names none and is refused, or opens
-- one and so ends its: neither can use up numbers of the other unseen. Opening one asks without a time, and is not refused.
create function sync_require_no_session(p_workspace uuid, p_session uuid, p_ttl interval) returns void
language plpgsql as $$
begin
  if exists (
    select 1 from sync_session s
    where s.workspace_id = p_workspace and s.session_id = p_session and s.seen_at > now() - p_ttl) then
    perform refuse('DR409', 'session-expired', 'This client has a session: name it, or open another.');
  end if;
end $$;

-- As before; what is acknowledged is at most what was answered before this push.
create or replace function sync_push(p_workspace uuid, p_client text, p_session uuid, p_acked bigint, p_mutations json, p_values json,
                          p_mine json default null, p_else_diverge boolean default false,
                          p_client_retention_ms bigint default 7776000000, p_session_ttl_ms bigint default 86400000,
                          p_divergence_retention_ms bigint default 7776000000)
returns table (last_mutation_id bigint, results json, scopes json, is_stale boolean) language plpgsql as $$
#variable_conflict use_column
declare
  caller_role text := require_workspace_role(p_workspace, 'editor');
  bounds sync_bounds := row(sync_ms(p_client_retention_ms), sync_ms(p_session_ttl_ms), sync_ms(p_divergence_retention_ms));
  client sync_client := sync_lock_client(p_workspace, p_client, p_session, bounds);
  last bigint := client.last_mutation_id;
  items sync_item[] := sync_items(p_mutations, p_values, p_mine);
  fresh sync_item[] := array(select i from unnest(items) i where i.id > last order by i.n);
  newest bigint := last + cardinality(fresh);
  asks record;
  made text[] := '{}';
  locked sync_scope[];
  stands sync_stand[];
  faulty bigint[];
  writes sync_item[];
  diverged jsonb := '{}';
begin
  select bool_or(f.id <> last + f.ordinality) as gap,
         bool_or(f.entity_type in ('collection', 'environment')) as things,
         bool_or(f.clock - p_client <> '{}') as others,
         bool_or(f.decision = 'diverge') as diverging,
         count(distinct (f.scope_type, f.scope_id)) filter (where f.reject_code is null) as scopes
  into asks from unnest(fresh) with ordinality f;
  if asks.gap then
    perform refuse('DR409', 'mutation-gap', format('The next mutation of this client is %s.', last + 1), (last + 1)::text);
  end if;
  if p_acked is not null then
    delete from sync_mutation m where m.workspace_id = p_workspace and m.client_id = p_client and m.mutation_id <= p_acked;
  end if;
  if asks.things then
    made := sync_make_things(p_workspace, fresh);
  end if;
  locked := sync_lock_scopes(p_workspace, fresh);
  if cardinality(locked) < asks.scopes then
    fresh := sync_without_scope(fresh, locked);
  end if;
  if asks.others then
    fresh := sync_without_forged(p_workspace, p_client, fresh);
  end if;
  stands := sync_stands(p_workspace, fresh);
  faulty := array(
    select f.n from unnest(fresh) f left join unnest(stands) s on s.n = f.n
    where f.reject_code is null
      and sync_is_stale(p_client, false, f.expect_version, f.base_version, s.version, s.client_id, s.foreign_version));
  if cardinality(faulty) > 0 and not p_else_diverge then
    items := array(select coalesce(f, i) from unnest(items) i left join unnest(fresh) f on f.n = i.n order by i.n);
    results := sync_stale_results(p_workspace, p_client, items, last, bounds.client_retention);
    perform sync_unmake_things(p_workspace, made);
    return query select last, results, sync_scopes_after(locked, '{}'), true;
    return;
  end if;
  writes := fresh;
  if asks.diverging or cardinality(faulty) > 0 then
    fresh := array(select case when f.n = any (faulty) then sync_diverging(f) else f end from unnest(fresh) f order by f.n);
    diverged := sync_kept(p_workspace, p_client, fresh, bounds.divergence_retention);
    writes := array(select f from unnest(fresh) f where f.decision is distinct from 'diverge' order by f.n);
  end if;
  -- The epochs are owed to the log: the outcome of each mutation is kept in the same statement that numbers it.
  insert into sync_mutation (workspace_id, client_id, mutation_id, outcome)
  select p_workspace, p_client, f.id, case
    when f.reject_code is not null then jsonb_build_object('outcome', 'rejected', 'code', f.reject_code, 'detail', f.reject_detail)
    when diverged ? f.n::text then diverged->f.n::text
    else jsonb_build_object('outcome', case f.decision when 'merge' then 'merged' else 'applied' end, 'version', a.epoch, 'epoch', a.epoch) end
  from unnest(fresh) f left join sync_apply(p_workspace, p_client, writes, locked, stands) a on a.n = f.n;
  update sync_client c set last_mutation_id = newest, session_id = coalesce(p_session, c.session_id), seen_at = now(),
                           acked_mutation_id = case when p_acked is null then c.acked_mutation_id else greatest(c.acked_mutation_id, least(p_acked, last)) end
  where c.workspace_id = p_workspace and c.client_id = p_client;
  if p_session is not null then
    update sync_session s set seen_at = now() where s.workspace_id = p_workspace and s.session_id = p_session;
  end if;
  return query select newest, sync_results(p_workspace, p_client, items, last), sync_scopes_after(locked, writes), false;
end $$;

-- migrate:down
do $$ begin raise exception 'migrations are forward-only: write the next one instead'; end $$;
