//! A real nginx in front of instances.

use std::{
    fs,
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

/// One nginx, with nothing in it but a way to the instances behind it. It keeps connections to them, and asks the next when one
/// cannot be reached; what one was asked already it asks nobody else, because that may cost money twice.
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
        while tokio::net::TcpStream::connect(address).await.is_err() {
            assert!(nginx.child.try_wait().unwrap().is_none(), "nginx does not start: {}", nginx.log());
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
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

fn config(instances: &[SocketAddr], address: SocketAddr) -> String {
    // An idle connection is let go of before an instance that stops would close it.
    // `max_fails=0`: one that was away for a moment is asked again at once.
    let servers: Vec<_> = instances.iter().map(|instance| format!("server {instance} max_fails=0;")).collect();
    let servers = servers.join("\n");
    format!(
        "daemon off; worker_processes 1; pid nginx.pid; error_log stderr warn;
        events {{ worker_connections 1024; }}
        http {{
            access_log off;
            client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
            upstream gateways {{ {servers} keepalive 32; keepalive_timeout 1s; }}
            server {{
                listen {address};
                location / {{
                    proxy_pass http://gateways;
                    proxy_http_version 1.1;
                    proxy_set_header Connection '';
                    proxy_buffering off;
                }}
            }}
        }}"
    )
}
