-- migrate:up

-- The scope as it was after p_epoch, in the order of type and id, after the entity of the page before: what has not been
-- written since from sync_state, the rest from the log. A page ends before p_bytes, and after 10,000 entities that were
-- deleted by then, with or without a message: deleted at that epoch they stay, so it is the same for ever. A loop, so that no value behind the cut is read. The messages of one epoch are the same for ever: nothing in them
-- changes when an entity is written again. Not `exact`: the log has been truncated past what an entity was at p_epoch.
create or replace function sync_snapshot(p_workspace uuid, p_type text, p_id text, p_epoch bigint, p_after_type text, p_after_id text, p_bytes int)
returns table (messages text, last_type text, last_id text, closed boolean, exact boolean) language plpgsql stable as $$
declare
  entity record;
  former record;
  message text;
  total bigint := 0;
  passed bigint := 0;
  parts text[] := '{}';
begin
  closed := false;
  exact := true;
  for entity in
    select s.entity_type, s.entity_id, s.value, s.updated_at as written_at, s.client_id, s.mutation_id, s.version, s.deleted
    from sync_state s
    where s.workspace_id = p_workspace and s.scope_type = p_type and s.scope_id = p_id
      and (s.entity_type, s.entity_id) > (p_after_type, p_after_id)
    order by s.entity_type, s.entity_id
  loop
    if entity.version > p_epoch then
      select c.value, c.created_at, c.client_id, c.mutation_id, c.server_epoch, c.operation into former
      from sync_change c
      where c.workspace_id = p_workspace and c.scope_type = p_type and c.scope_id = p_id
        and c.entity_type = entity.entity_type and c.entity_id = entity.entity_id and c.server_epoch <= p_epoch
      order by c.server_epoch desc limit 1;
      if not found then
        -- What was there before the oldest change that is left, that change says.
        select c.operation = 'insert' into exact
        from sync_change c
        where c.workspace_id = p_workspace and c.scope_type = p_type and c.scope_id = p_id
          and c.entity_type = entity.entity_type and c.entity_id = entity.entity_id
        order by c.server_epoch limit 1;
        exact := coalesce(exact, false);
        exit when not exact;
        continue;
      end if;
      entity.value := former.value;
      entity.written_at := former.created_at;
      entity.client_id := former.client_id;
      entity.mutation_id := former.mutation_id;
      entity.version := former.server_epoch;
      entity.deleted := former.operation = 'delete';
    end if;
    if entity.deleted then
      passed := passed + 1;
      continue when passed < 10000;
      closed := true;
      last_type := entity.entity_type;
      last_id := entity.entity_id;
      exit;
    end if;
    message := '{"type":' || to_json(entity.entity_type)::text || ',"key":' || to_json(entity.entity_type || '/' || entity.entity_id)::text
      || ',"value":' || entity.value::text
      || ',"headers":{"operation":"insert","timestamp":"' || to_char(entity.written_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
      || '","client_id":' || to_json(entity.client_id)::text || ',"mutation_id":' || entity.mutation_id || ',"version":' || entity.version || '}}';
    total := total + octet_length(message) + 1;
    if last_id is not null and (total > p_bytes or cardinality(parts) >= 1000) then
      closed := true;
      exit;
    end if;
    parts := array_append(parts, message);
    last_type := entity.entity_type;
    last_id := entity.entity_id;
  end loop;
  messages := '[' || array_to_string(parts, ',') || ']';
  return next;
end $$;

-- migrate:down
do $$ begin raise exception 'migrations are forward-only: write the next one instead'; end $$;
