-- migrate:up

-- What became of the mutations of a call, in its order. What was merged or diverged comes with the true state until those
-- are 4 MiB together, and without it from then on, as what the log has no more: else 500 small edits of one large document
-- would be answered by 128 MB. A loop, so that no value behind the cut is read.
create or replace function sync_results(p_workspace uuid, p_client text, p_items sync_item[], p_last bigint) returns json
language plpgsql stable as $$
declare
  item record;
  told text;
  total bigint := 0;
  results text[] := '{}';
begin
  for item in
    select i as own, i.id, i.id > p_last as is_fresh, m.outcome, m.outcome->>'outcome' in ('merged', 'diverged') as has_state
    from unnest(p_items) i
    left join sync_mutation m on m.workspace_id = p_workspace and m.client_id = p_client and m.mutation_id = i.id
    order by i.n
  loop
    told := item.outcome::text;
    if item.has_state and total < 4194304 then
      told := sync_outcome(p_workspace, p_client, item.own, item.outcome)::text;
      total := total + octet_length(told);
    end if;
    results := array_append(results, case when item.is_fresh then '{"id":' || item.id || ',' || substr(told, 2)
      else '{"id":' || item.id || ',"outcome":"duplicate","original":' || coalesce(told, 'null') || '}' end);
  end loop;
  return '[' || array_to_string(results, ',') || ']';
end $$;

-- As before. What a duplicate became is told without the state: the round that answers the client comes after this one.
create or replace function sync_stale_results(p_workspace uuid, p_client text, p_items sync_item[], p_last bigint, p_retention interval)
returns json language sql stable as $$
  with found as (
    select s.*, b.value as base, b.is_known, i.clock as own_clock,
           sum(coalesce(octet_length(s.value::text), 0) + coalesce(octet_length(b.value::text), 0)) over (order by s.n) as total
    from sync_stale(p_workspace, p_client, array(select i from unnest(p_items) i where i.id > p_last), true) s
    join unnest(p_items) i on i.n = s.n
    left join lateral (select t.value, true as is_known from sync_base(p_workspace, i) t) b on true
  ), cut as (select coalesce(min(f.n), 9223372036854775807) as n from found f where f.total > 4194304)
  select json_agg(case
    when i.id <= p_last then json_build_object('id', i.id, 'outcome', 'duplicate', 'original', to_json(m.outcome))
    when i.n >= cut.n then json_build_object('id', i.id, 'outcome', 'retry')
    when i.reject_code is not null then json_build_object('id', i.id, 'outcome', 'rejected')
    when f.n is null then json_build_object('id', i.id, 'outcome', 'current')
    else json_build_object('id', i.id, 'outcome', 'stale', 'version', f.version, 'value', f.value, 'clock', f.clock,
                           'deleted', f.deleted, 'client_id', f.client_id, 'mutation_id', f.mutation_id, 'base', f.base,
                           'base_known', coalesce(f.is_known, false),
                           'forgotten', sync_forgotten(p_workspace, f.clock, f.own_clock, p_retention)) end order by i.n)
  from unnest(p_items) i
  cross join cut
  left join found f on f.n = i.n
  left join sync_mutation m on m.workspace_id = p_workspace and m.client_id = p_client and m.mutation_id = i.id
$$;

-- Forgets the outcomes of a few clients that were away longer than they are remembered: nobody can ask for them any more.
-- Their rows stay, so that their ids do not begin again.
create function sync_forget_outcomes(p_workspace uuid, p_retention interval) returns void language sql as $$
  with gone as (
    select c.workspace_id, c.client_id from sync_client c
    where c.workspace_id = p_workspace and c.seen_at < now() - p_retention and c.acked_mutation_id < c.last_mutation_id
    limit 10 for update skip locked
  ), marked as (
    update sync_client c set acked_mutation_id = c.last_mutation_id
    from gone g where c.workspace_id = g.workspace_id and c.client_id = g.client_id
  )
  delete from sync_mutation m using gone g where m.workspace_id = g.workspace_id and m.client_id = g.client_id
$$;

-- As before; whoever makes a client takes some of the outcomes of forgotten ones away in passing: it is the one step that
-- comes once a client, so the rows cannot grow faster than they go.
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
  end if;
  return client;
end $$;

-- migrate:down
do $$ begin raise exception 'migrations are forward-only: write the next one instead'; end $$;
