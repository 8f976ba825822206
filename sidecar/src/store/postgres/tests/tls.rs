//! Encrypted connections, with certificates that are made here.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use super::super::Postgres;
use crate::config::{self, SslMode};
use crate::store::OpenError;
use crate::store::contract::{Database, server};

/// A certificate for `localhost` and its key in the server's folder, and what it is signed by beside it.
fn certify(folder: &Path) -> std::path::PathBuf {
    let mut root = CertificateParams::new(Vec::new()).expect("no names are right names");
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(root, KeyPair::generate().expect("a key")).expect("signs itself");
    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::new(vec!["localhost".into()]).expect("a name");
    let certificate = certificate.signed_by(&key, &root).expect("is signed");
    let data = folder.join("data");
    let owner = fs::metadata(&data).expect("it is there").uid();
    for (name, text) in [("server.crt", certificate.pem()), ("server.key", key.serialize_pem())] {
        let path = data.join(name);
        fs::write(&path, text).expect("written");
        fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("it is ours");
        chown(&path, Some(owner), Some(owner)).expect("for the server alone");
    }
    let path = folder.join("root.crt");
    fs::write(&path, root.pem()).expect("written");
    path
}

async fn open(config: &config::Postgres) -> Result<(), String> {
    match Postgres::open(config).await {
        Ok(_) => Ok(()),
        Err(OpenError::Refused(message)) => Err(message),
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn encrypted_connections_are_made_as_the_configuration_says() {
    let Some(mut server) = server::own(&[]).await else { return };
    let place = Database::on(server.address.clone()).await;
    let with = |ssl_mode, host: &str, root: Option<&Path>| config::Postgres {
        ssl_mode,
        host: host.into(),
        ssl_root_certificate: root.map(Into::into),
        ..place.config.clone()
    };
    let message = open(&with(SslMode::Require, "127.0.0.1", None)).await.expect_err("it cannot encrypt yet");
    assert!(message.contains("ssl_mode"), "{message}");

    let root = certify(&server.folder);
    place.run("ALTER SYSTEM SET ssl = on").await;
    server.restart().await;
    let root = Some(&*root);
    for (mode, host, root, is_right) in [
        (SslMode::Disable, "127.0.0.1", None, true),
        (SslMode::Prefer, "127.0.0.1", None, true),
        (SslMode::Require, "127.0.0.1", None, true),
        (SslMode::VerifyCa, "127.0.0.1", root, true),
        (SslMode::VerifyFull, "localhost", root, true),
        (SslMode::VerifyCa, "127.0.0.1", None, false),
        (SslMode::VerifyFull, "localhost", None, false),
        // The certificate is for another name.
        (SslMode::VerifyFull, "127.0.0.1", root, false),
    ] {
        match open(&with(mode, host, root)).await {
            Ok(()) => assert!(is_right, "{mode} at {host} was let in"),
            Err(message) => {
                assert!(!is_right, "{mode} at {host}: {message}");
                assert!(message.contains("correct ssl_mode and ssl_root_certificate"), "{message}");
            }
        }
    }

    for (path, expected) in
        [("/no/such/file", "cannot read /no/such/file"), ("/etc/passwd", "holds no certificate")]
    {
        let message =
            open(&with(SslMode::VerifyFull, "localhost", Some(Path::new(path)))).await.expect_err("wrong");
        assert!(message.contains(expected) && message.contains("ssl_root_certificate"), "{message}");
    }
}
