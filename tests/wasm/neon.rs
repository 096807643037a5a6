//! A Neon answer over real HTTP: a server in this very Node answers what Neon answers, byte for byte.

use drey_store::{Caller, Deadline, Neon, NeonConfig, Secret, Session, StoreError, Timings, user};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen_futures::JsFuture;
use wasm_bindgen_test::wasm_bindgen_test;

#[wasm_bindgen(inline_js = r#"
export async function serve(status, body) {
  const { createServer } = await import("node:http");
  const server = createServer((request, response) => {
    response.writeHead(status, { "content-type": "application/json" });
    response.end(body);
    server.close();
  });
  server.unref();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${server.address().port}/sql`;
}
"#)]
extern "C" {
    fn serve(status: u16, body: &str) -> js_sys::Promise;
}

async fn me(status: u16, body: &str) -> Result<user::Me, StoreError> {
    let url = JsFuture::from(serve(status, body)).await.expect("a server").as_string();
    let connection = Secret::new("postgresql://app:secret@db.drey.test/drey".to_owned());
    let neon = Neon::new(NeonConfig::new(connection, url).expect("a connection string"));
    let timings = Timings::default();
    let deadline = Deadline::at(drey::edge::clock::now_ms() + 5_000);
    let user = drey::edge::random::user_id();
    let caller = Caller { user: Some(user), ..Caller::default() };
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    user::me(&Session::new(&neon, caller, deadline, trace, &timings)).await
}

fn answer(row: &str) -> String {
    let settings = r#"{"fields":[],"rows":[["u","",""]],"command":"SELECT","rowCount":1,"rowAsArray":true}"#;
    let rows = format!(r#"{{"fields":[],"rows":[{row}],"command":"SELECT","rowCount":1,"rowAsArray":true}}"#);
    format!(r#"{{"results":[{settings},{rows}]}}"#)
}

#[wasm_bindgen_test]
async fn an_answer_is_decoded_by_expected_type() {
    let row = r#"["0193a0b0-0000-7000-8000-000000000001","https://issuer","ada","ada@drey.test",null,"2026-11-20 21:39:07.326361+00"]"#;
    let me = me(200, &answer(row)).await.expect("me");
    let json = serde_json::to_value(&me).expect("JSON");
    assert_eq!(json["email"], "ada@drey.test");
    assert_eq!(json["name"], serde_json::Value::Null);
    assert_eq!(json["created_at"], "2026-11-20T21:39:07.326361Z");
    assert!(json["id"].as_str().is_some_and(|id| id.starts_with("user_")));
}

#[wasm_bindgen_test]
async fn a_column_of_another_type_is_a_fault_that_names_it() {
    let row = r#"["not a uuid","https://issuer","ada",null,null,"2026-11-20 21:39:07.326361+00"]"#;
    let Err(StoreError::Fault { detail }) = me(200, &answer(row)).await else { panic!("a fault") };
    assert!(detail.contains("user.me") && detail.contains("column 0"), "{detail}");
}

#[wasm_bindgen_test]
async fn an_answer_that_is_not_neons_is_a_fault_and_no_panic() {
    for body in ["", "null", "{}", "{\"results\":[]}", "<html>"] {
        assert!(
            matches!(me(200, body).await, Err(StoreError::Fault { .. } | StoreError::Unavailable { .. })),
            "{body}"
        );
    }
}
