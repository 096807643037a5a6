//! Where the database is.
//!
//! In scope: connection strings, and the URL that Neon answers SQL at. Out of scope: reading the environment.

/// A text that must never be printed.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Takes the text.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself: for the header it belongs in.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// A connection string that names no host we could ask. It does not say which: that would print a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a postgres:// connection string whose host is a name")]
pub struct ConfigError;

/// One database reached over HTTP.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub(crate) url: String,
    pub(crate) connection: Secret,
}

/// The database, and the replica that reads may lag behind on.
#[derive(Clone, Debug)]
pub struct NeonConfig {
    pub(crate) primary: Endpoint,
    pub(crate) replica: Option<Endpoint>,
}

impl NeonConfig {
    /// The database of a connection string, asked at `http_url`, or else where Neon has it.
    ///
    /// # Errors
    /// [`ConfigError`] if the string names no host.
    pub fn new(connection: Secret, http_url: Option<String>) -> Result<Self, ConfigError> {
        Ok(Self { primary: Endpoint::new(connection, http_url)?, replica: None })
    }

    /// Adds the replica.
    ///
    /// # Errors
    /// [`ConfigError`] if the string names no host.
    pub fn with_replica(self, connection: Secret, http_url: Option<String>) -> Result<Self, ConfigError> {
        Ok(Self { replica: Some(Endpoint::new(connection, http_url)?), ..self })
    }
}

impl Endpoint {
    fn new(connection: Secret, http_url: Option<String>) -> Result<Self, ConfigError> {
        let host = host(connection.expose()).ok_or(ConfigError)?;
        let url = match http_url {
            Some(url) => url,
            None => sql_url(host).ok_or(ConfigError)?,
        };
        Ok(Self { url, connection })
    }
}

/// The host of `postgres://user:password@host:port/database?…`.
fn host(connection: &str) -> Option<&str> {
    let rest = connection.strip_prefix("postgres://").or_else(|| connection.strip_prefix("postgresql://"))?;
    let authority = rest.split(['/', '?']).next()?;
    let (_, host) = authority.rsplit_once('@')?;
    let host = host.split(':').next()?;
    (!host.is_empty()).then_some(host)
}

/// Neon answers SQL at the host whose first label is replaced by `api`.
fn sql_url(host: &str) -> Option<String> {
    let (_, rest) = host.split_once('.')?;
    Some(format!("https://api.{rest}/sql"))
}

#[cfg(test)]
mod tests {
    use super::{NeonConfig, Secret};

    fn url(connection: &str, http_url: Option<&str>) -> Option<String> {
        let config = NeonConfig::new(Secret::new(connection.to_owned()), http_url.map(str::to_owned));
        config.ok().map(|config| config.primary.url)
    }

    #[test]
    fn the_first_label_of_the_host_becomes_api() {
        let connection = "postgresql://drey_app:p%40ss@ep-x-pooler.us-east-2.aws.neon.tech/drey?sslmode=require";
        assert_eq!(url(connection, None).as_deref(), Some("https://api.us-east-2.aws.neon.tech/sql"));
        assert_eq!(url(connection, Some("http://127.0.0.1:1/sql")).as_deref(), Some("http://127.0.0.1:1/sql"));
    }

    #[test]
    fn a_string_without_a_host_is_refused() {
        for wrong in ["", "mysql://a:b@c.d/e", "postgres://host.only/db", "postgres://a:b@/db"] {
            assert_eq!(url(wrong, None), None, "{wrong}");
        }
    }

    #[test]
    fn a_secret_is_never_printed() {
        let config = NeonConfig::new(Secret::new("postgres://a:hidden@h.x/d".to_owned()), None).expect("a good string");
        assert!(!format!("{config:?}").contains("hidden"));
    }
}
