//! A test in a network and with a resolver of its own: the test runs once more, alone, where loopback is all there is, with
//! addresses added to it, and names are asked of whoever listens there. Takes root, and says so where it is not to be had.

use std::{env, process::Command};

const INSIDE: &str = "LIGHTMETER_TEST_IN_NAMESPACE";

/// Sets up what the test finds: `$1` is the test, `$0` its program, the rest are addresses.
const SCRIPT: &str = "
    set -e
    program=$0 test=$1; shift
    ip link set lo up
    for address; do ip address add $address dev lo; done
    echo nameserver 127.0.0.1 >$HOME/resolv.conf
    mount --bind $HOME/resolv.conf /etc/resolv.conf
    exec $program --exact $test --nocapture
";

/// Whether the test is in a network of its own by now. If not, it has been run there, or cannot be.
pub(crate) fn is_inside(test: &str, addresses: &[&str]) -> bool {
    if env::var_os(INSIDE).is_some() {
        return true;
    }
    let may = Command::new("unshare").args(["--mount", "--net", "ip", "link", "set", "lo", "up"]).output();
    if !may.is_ok_and(|may| may.status.success()) {
        println!("not put to the test: a network of its own takes privileges that there are not");
        return false;
    }
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new("unshare");
    command.args(["--mount", "--net", "sh", "-c", SCRIPT]).arg(env::current_exe().unwrap()).arg(test).args(addresses);
    let output = command.env(INSIDE, "yes").env("HOME", home.path()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    false
}
