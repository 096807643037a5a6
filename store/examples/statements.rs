//! Prints every statement of the store as JSON, for the tests that prepare and explain them on a migrated database.

fn main() {
    let statements: Vec<_> = drey_store::STATEMENTS
        .iter()
        .map(|statement| serde_json::json!({ "name": statement.name, "sql": statement.sql, "hot": statement.hot }))
        .collect();
    let text = serde_json::Value::from(statements).to_string();
    std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes()).unwrap_or_default();
}
