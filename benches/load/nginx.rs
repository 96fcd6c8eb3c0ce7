//! nginx, sending the very bytes that appinfo answers with.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use crate::common::Response;
use crate::server::Server;

pub fn is_installed() -> bool {
    Command::new("nginx").arg("-v").output().is_ok()
}

/// nginx with `answer`'s body and headers in its configuration, and so in its memory; a worker
/// process per core, as Debian sets it up. What it logs and keeps stands in `folder`.
pub fn server(folder: &Path, answer: &Response) -> Server {
    let mut headers = String::new();
    for (name, value) in &answer.headers {
        match name.as_str() {
            // nginx says these itself: `Connection: close` because of keepalive_timeout.
            "connection" | "content-length" | "date" | "server" => {}
            "content-type" => writeln!(headers, "default_type {};", quoted(value)).unwrap(),
            _ => writeln!(headers, "add_header {name} {};", quoted(value)).unwrap(),
        }
    }
    let body = quoted(answer.text());
    let folder = folder.display();
    let configuration = format!(
        "daemon off; worker_processes auto; pid {folder}/nginx.pid;
        error_log {folder}/error.log;
        events {{ worker_connections 4096; }}
        http {{
            access_log off;
            keepalive_timeout 0;
            client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
            fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
            scgi_temp_path {folder}/scgi;
            server {{
                listen 127.0.0.1:{{port}};
                {headers}
                return 200 {body};
            }}
        }}"
    );
    let file = format!("{folder}/nginx.conf");
    let command = ["nginx", "-c", &file].map(str::to_owned).to_vec();
    let mut server = Server::command("nginx", "/", command, &[]);
    server.configuration = Some((file.into(), configuration));
    server
}

/// As a string of nginx's configuration.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}
