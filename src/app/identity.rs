//! What tells this process from every other one that lives.
//!
//! A container that is started again in the same pod has the pod's UID again, and goes on with the lease of the one before, which is dead: a kubelet
//! starts a container only after the one before it has ended. That nobody else in the pod lives by this name is not believed but proven: a socket bears
//! it, which the kernel gives to one process alone, and takes back when that process is gone. The containers of a pod share the network namespace in
//! which such names are. Who does not get the name takes a random one, and waits for its turn.

use parking_lot::Mutex;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

/// Held for as long as this process lives.
static NAMES: Mutex<Vec<UnixListener>> = Mutex::new(Vec::new());

/// The part of the identity that no other process has: the pod's UID where this process has it alone, else a random one.
pub(crate) fn life(pod: Option<&str>) -> String {
    match pod.filter(|uid| !uid.is_empty()) {
        Some(uid) if claim(uid) => uid.to_owned(),
        Some(uid) => {
            tracing::warn!(
                uid,
                "another process of this pod lives, or its name can't be claimed: this one has a lease identity of its own"
            );
            random()
        }
        None => random(),
    }
}

fn random() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// Whether this process alone has the name from now on.
fn claim(uid: &str) -> bool {
    let bound = SocketAddr::from_abstract_name(format!("operatorconnect.dev/{uid}"))
        .and_then(|address| UnixListener::bind_addr(&address));
    bound.map(|listener| NAMES.lock().push(listener)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_processes_that_live_have_the_same_and_one_after_the_other_does() {
        let uid = random();
        let address = SocketAddr::from_abstract_name(format!("operatorconnect.dev/{uid}")).unwrap();
        // What the kernel does for a process that lives, it does for anybody who holds the socket.
        let other = UnixListener::bind_addr(&address).unwrap();
        assert_ne!(life(Some(&uid)), uid, "the other one lives");
        drop(other);
        assert_eq!(life(Some(&uid)), uid, "it is gone");
        assert_ne!(life(Some(&uid)), uid, "now this one has it");
        assert_ne!(life(None), life(None));
        assert_ne!(life(Some("")), life(Some("")));
    }
}
