//! How a connection is encrypted, as libpq's options say it.
//!
//! Invariant: [`TlsOptions::verification`] is what libpq would verify, for every combination.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::ConfigError;

/// libpq's `sslmode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SslMode {
    /// Never encrypted.
    Disable,
    /// As [`Self::Prefer`]: encrypted where the server can, where libpq would try without first.
    Allow,
    /// Encrypted where the server can.
    #[default]
    Prefer,
    /// Always encrypted.
    Require,
    /// Encrypted, by a server with a certificate from a trusted authority.
    ///
    /// The replication connection asks for more than libpq here: its client takes a certificate only
    /// if it is for the host that we connect to, as under [`Self::VerifyFull`].
    VerifyCa,
    /// Encrypted, by a server with a certificate from a trusted authority for this host name.
    VerifyFull,
}

/// libpq's `sslmode`, `sslrootcert`, `sslcert` and `sslkey`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsOptions {
    /// Whether to encrypt, and what to verify.
    pub mode: SslMode,
    /// The authorities to trust: a PEM file. Without one, Mozilla's.
    pub root_certificate: Option<PathBuf>,
    /// The client's own certificate: a PEM file.
    pub certificate: Option<PathBuf>,
    /// The key of the client's certificate: a PEM file.
    pub key: Option<PathBuf>,
}

/// What to verify of the server's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verification {
    Nothing,
    Authority,
    AuthorityAndHost,
}

impl TlsOptions {
    /// What to verify. A root certificate that is given is used, also where `sslmode` is `require`.
    pub(crate) fn verification(&self) -> Verification {
        match self.mode {
            SslMode::VerifyFull => Verification::AuthorityAndHost,
            SslMode::VerifyCa => Verification::Authority,
            SslMode::Require if self.root_certificate.is_some() => Verification::Authority,
            SslMode::Disable | SslMode::Allow | SslMode::Prefer | SslMode::Require => {
                Verification::Nothing
            }
        }
    }

    /// The client's certificate and key, where both are given.
    pub(crate) fn client_certificate(&self) -> Option<(&Path, &Path)> {
        self.certificate.as_deref().zip(self.key.as_deref())
    }

    /// Sets one of libpq's options by its name.
    pub(super) fn set(&mut self, option: &str, value: &str) -> Result<(), ConfigError> {
        let path = || Some(PathBuf::from(value));
        match option {
            "sslmode" => self.mode = value.parse()?,
            // Mozilla's authorities are what this program takes for the system's.
            "sslrootcert" if value == "system" => {
                self.root_certificate = None;
                self.mode = SslMode::VerifyFull;
            }
            "sslrootcert" => self.root_certificate = path(),
            "sslcert" => self.certificate = path(),
            "sslkey" => self.key = path(),
            _ => return Err(ConfigError::UnknownOption(option.to_owned())),
        }
        Ok(())
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.certificate.is_some() == self.key.is_some() {
            Ok(())
        } else {
            Err(ConfigError::HalfAClientCertificate)
        }
    }
}

impl FromStr for SslMode {
    type Err = ConfigError;

    fn from_str(mode: &str) -> Result<Self, ConfigError> {
        match mode {
            "disable" => Ok(Self::Disable),
            "allow" => Ok(Self::Allow),
            "prefer" => Ok(Self::Prefer),
            "require" => Ok(Self::Require),
            "verify-ca" => Ok(Self::VerifyCa),
            "verify-full" => Ok(Self::VerifyFull),
            _ => Err(ConfigError::SslMode(mode.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(pairs: &[(&str, &str)]) -> TlsOptions {
        let mut options = TlsOptions::default();
        for (name, value) in pairs {
            options.set(name, value).unwrap();
        }
        options
    }

    #[test]
    fn verification_is_what_libpq_does() {
        let verifies = |pairs: &[(&str, &str)]| options(pairs).verification();
        assert_eq!(verifies(&[]), Verification::Nothing);
        assert_eq!(verifies(&[("sslmode", "require")]), Verification::Nothing);
        assert_eq!(
            verifies(&[("sslmode", "require"), ("sslrootcert", "/ca.pem")]),
            Verification::Authority
        );
        assert_eq!(
            verifies(&[("sslmode", "prefer"), ("sslrootcert", "/ca.pem")]),
            Verification::Nothing
        );
        assert_eq!(verifies(&[("sslmode", "verify-ca")]), Verification::Authority);
        assert_eq!(verifies(&[("sslmode", "verify-full")]), Verification::AuthorityAndHost);
        assert_eq!(verifies(&[("sslrootcert", "system")]), Verification::AuthorityAndHost);
    }

    #[test]
    fn a_certificate_without_its_key_is_refused() {
        assert!(options(&[("sslcert", "/c.pem")]).check().is_err());
        assert!(options(&[("sslcert", "/c.pem"), ("sslkey", "/k.pem")]).check().is_ok());
    }
}
