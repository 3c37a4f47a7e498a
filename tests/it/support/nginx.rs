//! A real nginx in front of instances.

use std::{
    fs,
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;
use tokio::net::TcpStream;

use super::until;

/// One nginx, as the documents set it up. It asks the next instance when one cannot be reached; what one was asked already it asks
/// nobody else, because that may cost money twice.
pub(crate) struct Nginx {
    child: Child,
    folder: TempDir,
    pub(crate) address: SocketAddr,
}

impl Nginx {
    /// On `address`, in front of `instances`.
    pub(crate) async fn in_front_of(instances: &[SocketAddr], address: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("nginx.conf"), config(instances, address)).unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let mut command = Command::new("nginx");
        command.arg("-e").arg("stderr").arg("-p").arg(folder.path()).arg("-c").arg("nginx.conf");
        let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let mut nginx = Self { child, folder, address };
        until("nginx listens", async || {
            assert!(nginx.child.try_wait().unwrap().is_none(), "nginx does not start: {}", nginx.log());
            TcpStream::connect(address).await.is_ok()
        })
        .await;
        nginx
    }

    /// What it complained of.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // It ends its workers when it is asked to, and leaves them alone when it is killed.
        let asked = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status();
        drop(asked);
        drop(self.child.wait());
    }
}

/// The one that docs/operating.md shows, for these addresses.
fn config(instances: &[SocketAddr], address: SocketAddr) -> String {
    let document = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operating.md")).unwrap();
    let shown = document.split_once("```nginx\n").unwrap().1.split_once("```").unwrap().0;
    let shown = shown.replace("listen 8080", &format!("listen {address}"));
    let shown = ["127.0.0.1:3001", "127.0.0.1:3002"].iter().zip(instances).fold(shown, |shown, (said, here)| {
        assert!(shown.contains(said), "the document does not name {said}");
        shown.replace(said, &here.to_string())
    });
    format!(
        "daemon off; worker_processes 1; pid nginx.pid; error_log stderr warn;
        events {{ worker_connections 1024; }}
        http {{
            access_log off;
            client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
            {shown}
        }}"
    )
}
