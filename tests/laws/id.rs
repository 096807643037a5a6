//! An id has one text, and a text names at most one id of one kind.

use drey_core::id::{ApiKeyId, EventId, InvitationId, OrgId, ProjectId, RequestId, SessionId, UserId, WorkspaceId};
use proptest::prelude::*;
use uuid::Uuid;

/// Runs the body once for each kind of id.
macro_rules! for_each_kind {
    ($kind:ident => $body:block) => {{
        {
            type $kind = UserId;
            $body
        }
        {
            type $kind = OrgId;
            $body
        }
        {
            type $kind = WorkspaceId;
            $body
        }
        {
            type $kind = ProjectId;
            $body
        }
        {
            type $kind = InvitationId;
            $body
        }
        {
            type $kind = ApiKeyId;
            $body
        }
        {
            type $kind = EventId;
            $body
        }
        {
            type $kind = SessionId;
            $body
        }
        {
            type $kind = RequestId;
            $body
        }
    }};
}

#[test]
fn prefixes_are_fixed() {
    let mut prefixes = Vec::new();
    for_each_kind!(Kind => { prefixes.push(Kind::PREFIX) });
    assert_eq!(prefixes, ["user", "org", "ws", "prj", "inv", "key", "evt", "ses", "req"]);
}

proptest! {
    #[test]
    fn an_id_reads_back(value in any::<u128>()) {
        for_each_kind!(Kind => {
            let id = Kind::from_uuid(Uuid::from_u128(value));
            prop_assert_eq!(Kind::parse(&id.to_string()), Ok(id));
            let json = serde_json::to_string(&id).expect("json");
            prop_assert_eq!(&json, &format!("\"{id}\""));
            prop_assert_eq!(serde_json::from_str::<Kind>(&json).expect("id"), id);
        });
    }

    #[test]
    fn only_the_canonical_text_is_read(text in "ws_[0-9a-hjkmnp-tv-z]{26}|(ws_|WS_|org_|ws-|ws)[0-9a-zA-Z_]{24,28}") {
        if let Ok(id) = WorkspaceId::parse(&text) {
            prop_assert_eq!(id.to_string(), text);
        }
    }

    #[test]
    fn a_changed_character_is_refused_or_names_another(value in any::<u128>(), place in 0_usize..29, character in any::<char>()) {
        let id = WorkspaceId::from_uuid(Uuid::from_u128(value));
        let mut changed: Vec<char> = id.to_string().chars().collect();
        if let Some(old) = changed.get_mut(place) {
            *old = character;
        }
        let changed: String = changed.into_iter().collect();
        let read = WorkspaceId::parse(&changed);
        prop_assert_eq!(read == Ok(id), changed == id.to_string());
        prop_assert!(read.is_err() || read.map(|other| other.to_string()) == Ok(changed));
    }

    #[test]
    fn another_kind_does_not_take_it(value in any::<u128>()) {
        let text = ProjectId::from_uuid(Uuid::from_u128(value)).to_string();
        prop_assert!(WorkspaceId::parse(&text).is_err() && UserId::parse(&text).is_err());
    }

    #[test]
    fn text_order_is_the_order_of_the_database(one in any::<u128>(), other in any::<u128>()) {
        let [one, other] = [one, other].map(|value| OrgId::from_uuid(Uuid::from_u128(value)));
        prop_assert_eq!(one.cmp(&other), one.to_string().cmp(&other.to_string()));
    }

    #[test]
    fn later_ids_sort_later(now in 0_u64..1 << 47, later in 1_u64..1 << 40, one in any::<[u8; 10]>(), other in any::<[u8; 10]>()) {
        prop_assert!(EventId::mint(now, one) < EventId::mint(now + later, other));
        prop_assert_eq!(EventId::mint(now, one).uuid().get_version_num(), 7);
    }
}
