//! A real nginx before the pods, as an ingress or a platform puts one there.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

use crate::common::{Folder, SIGTERM, have, run, signal};

/// The server; ended when dropped.
pub struct Nginx {
    child: Child,
    pub http: SocketAddr,
    pub https: SocketAddr,
    folder: Folder,
}

impl Nginx {
    /// Passes on to `pods`: below `/appinfo` as ingress-nginx does with the rewrite target `/$2`;
    /// below `/private` only with the name and password `user:pass`; below `/mute`, with a policy
    /// that forbids requests; below `/login`, with requests sent elsewhere; `/frame` is a page that
    /// shows another one. Nothing, where this machine has no nginx.
    pub fn before(pods: SocketAddr) -> Option<Nginx> {
        if !have(&["nginx", "openssl"]) {
            return None;
        }
        let folder = Folder::new();
        let path = folder.path().display();
        run(Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"])
            .args(["-nodes", "-subj", "/CN=127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"])
            .current_dir(folder.path()));
        // It takes over these sockets, as at an upgrade of its own: their ports are free for sure.
        let [http, https] =
            [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("loopback has a free port"));
        let [http_address, https_address] =
            [&http, &https].map(|socket| socket.local_addr().expect("it is bound"));
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {path}/{kind};"))
            .concat();
        let prefix = |name: &str, more: &str| {
            format!(
                r#"location ~* "^/{name}(/|$)(.*)" {{
                    {more}
                    rewrite "(?i)/{name}(/|$)(.*)" /$2 break;
                    proxy_pass http://{pods};
                }}"#
            )
        };
        let locations = [
            prefix("appinfo", ""),
            prefix("private", &format!("auth_basic a; auth_basic_user_file {path}/users;")),
            prefix("mute", r#"add_header Content-Security-Policy "connect-src 'none'";"#),
            format!(
                "location = /login/v1/appinfo {{ return 302 http://localhost:{}/; }}",
                http_address.port()
            ),
            prefix("login", ""),
            format!(
                "location = /frame {{ default_type text/html; return 200
                '<iframe src=\"http://{http_address}/appinfo\" width=900 height=700></iframe>'; }}"
            ),
        ]
        .concat();
        fs::write(folder.path().join("users"), "user:{PLAIN}pass\n").expect("it can be written");
        let configuration = format!(
            "daemon off; worker_processes 1; pid {path}/pid; error_log {path}/error.log;
            events {{}}
            http {{
                access_log off; {temporary}
                server {{
                    listen {http_address};
                    listen {https_address} ssl;
                    ssl_certificate {path}/cert.pem;
                    ssl_certificate_key {path}/key.pem;
                    {locations}
                }}
            }}"
        );
        fs::write(folder.path().join("nginx.conf"), configuration).expect("it can be written");
        let child = Command::new("nginx")
            .args(["-e", &format!("{path}/error.log"), "-c", &format!("{path}/nginx.conf")])
            .env("NGINX", "0;1;")
            .stdin(OwnedFd::from(http))
            .stdout(OwnedFd::from(https))
            .stderr(Stdio::inherit())
            .spawn()
            .expect("nginx starts");
        Some(Nginx { child, http: http_address, https: https_address, folder })
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read_to_string(self.folder.path().join("error.log"));
            eprintln!("nginx said: {}", log.unwrap_or_default());
        }
        // It ends its worker, too.
        signal(self.child.id().try_into().expect("a process number fits"), SIGTERM);
        let _ = self.child.wait();
    }
}
