//! TLS in front of a server on this machine, as a platform puts it in front of the gateway.

use std::{net::SocketAddr, sync::Arc};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use rcgen::{CertificateParams, KeyPair, PublicKeyData as _};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use sha2::{Digest as _, Sha256};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

/// A certificate that nobody has signed but itself.
pub(crate) struct Certificate {
    acceptor: TlsAcceptor,
    /// SHA-256 of its public key (`SubjectPublicKeyInfo`), in Base64: how Chromium is told to trust it.
    pub(crate) public_key_hash: String,
    /// What trusts it, for `EXTRA_CA_FILE`.
    pub(crate) pem: String,
}

impl Certificate {
    pub(crate) fn of<const N: usize>(names: [&str; N]) -> Self {
        Self::with(&CertificateParams::new(names.map(str::to_owned)).unwrap())
    }

    /// One that was good until yesterday, some years ago.
    pub(crate) fn expired<const N: usize>(names: [&str; N]) -> Self {
        let mut params = CertificateParams::new(names.map(str::to_owned)).unwrap();
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
        Self::with(&params)
    }

    fn with(params: &CertificateParams) -> Self {
        let signing_key = KeyPair::generate().unwrap();
        let cert = params.self_signed(&signing_key).unwrap();
        let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
        let config = ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(vec![cert.der().clone()], key).unwrap();
        Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            public_key_hash: BASE64_STANDARD.encode(Sha256::digest(signing_key.subject_public_key_info())),
            pem: cert.pem(),
        }
    }

    /// Passes on to `server` what comes over TLS to a port of 127.0.0.1, and gives back that port.
    pub(crate) async fn in_front_of(&self, server: SocketAddr) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let acceptor = self.acceptor.clone();
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                tokio::spawn(pass_on(acceptor.clone(), client, server));
            }
        });
        port
    }
}

// Its error is nobody's: browsers open connections that they do not use, and leave without a word.
async fn pass_on(acceptor: TlsAcceptor, client: TcpStream, server: SocketAddr) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    let mut client = acceptor.accept(client).await?;
    let mut server = TcpStream::connect(server).await?;
    server.set_nodelay(true)?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
