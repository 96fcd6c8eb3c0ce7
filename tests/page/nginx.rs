//! A real nginx before the pods, as nginx.conf says.

use std::os::fd::OwnedFd;

use crate::common::*;

/// The server; ended when dropped.
pub struct Nginx {
    child: Child,
    pub address: SocketAddr,
    folder: Folder,
}

impl Nginx {
    /// Passes on to `pods`. Nothing, where this machine has no nginx.
    pub fn before(pods: SocketAddr) -> Option<Nginx> {
        needs!("nginx");
        let folder = Folder::new();
        // It takes over this socket, as at an upgrade of its own: its port is free for sure.
        let socket = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = socket.local_addr().expect("it is bound");
        let configuration = include_str!("nginx.conf")
            .replace("ADDRESS", &address.to_string())
            .replace("PODS", &pods.to_string());
        let write = |file, content: &str| fs::write(folder.path().join(file), content);
        write("nginx.conf", &configuration).expect("it can be written");
        write("users", "user:{PLAIN}pass\n").expect("it can be written");
        let child = command("nginx -e error.log -c nginx.conf -p")
            .arg(folder.path())
            .env("NGINX", "0;")
            .stdin(OwnedFd::from(socket))
            .spawn()
            .expect("nginx starts");
        Some(Nginx { child, address, folder })
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        if thread::panicking() {
            let log = fs::read_to_string(self.folder.path().join("error.log"));
            println!("nginx said: {log:?}");
        }
        // It ends its worker, too.
        signal(self.child.id().try_into().expect("a process number fits"), SIGTERM);
        let _ = self.child.wait();
    }
}
