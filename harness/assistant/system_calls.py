"""System calls: which of them code that nobody has read yet is refused, as a filter for bubblewrap."""

import errno
from typing import IO

# Sockets of any family but AF_UNIX are refused beside these; each is refused with EPERM.
REFUSED = {
    "kernel interfaces that a fault lets out of a sandbox": """
        io_uring_setup io_uring_enter io_uring_register bpf perf_event_open userfaultfd fanotify_init
        name_to_handle_at open_by_handle_at lookup_dcookie kexec_load kexec_file_load init_module finit_module
        delete_module acct quotactl quotactl_fd syslog personality uselib vm86 vm86old modify_ldt
        iopl ioperm vhangup reboot swapon swapoff nfsservctl _sysctl""",
    "keys of the kernel, which namespaces do not part": "keyctl add_key request_key",
    "memory that belongs to no process": """
        memfd_create memfd_secret shmget shmat shmctl shmdt msgget msgsnd msgrcv msgctl semget semop semtimedop semctl
        mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify mq_getsetattr
        mbind migrate_pages move_pages set_mempolicy set_mempolicy_home_node""",
    "another process": "ptrace process_vm_readv process_vm_writev process_madvise pidfd_getfd kcmp",
    "other namespaces and mounts": """
        unshare setns mount umount umount2 pivot_root chroot open_tree move_mount fsopen fsconfig fsmount fspick
        mount_setattr""",
    "the machine's clock and name": """
        clock_settime clock_adjtime settimeofday adjtimex stime sethostname setdomainname""",
}
NEW_NAMESPACES = 0x7E020080  # CLONE_NEW* of clone(2)
AF_UNIX, TIOCSTI, TIOCLINUX = 1, 0x5412, 0x541C
UNKNOWN = -1  # what libseccomp answers for a call that it or the processor does not have


def filter_into(file: IO[bytes]) -> None:
    """Write the filter as bubblewrap reads it.

    Raises:
        OSError: there is no libseccomp here.
    """
    try:
        import pyseccomp as seccomp
    except (ImportError, RuntimeError) as error:
        raise OSError(f"no libseccomp: {error}") from error
    rules = seccomp.SyscallFilter(seccomp.ALLOW)
    for name in " ".join(REFUSED.values()).split():
        if seccomp.resolve_syscall(seccomp.Arch.NATIVE, name) != UNKNOWN:
            rules.add_rule(seccomp.ERRNO(errno.EPERM), name)
    for name in ("socket", "socketpair"):
        rules.add_rule(seccomp.ERRNO(errno.EPERM), name, seccomp.Arg(0, seccomp.NE, AF_UNIX))
    for request in (TIOCSTI, TIOCLINUX):
        rules.add_rule(seccomp.ERRNO(errno.EPERM), "ioctl", seccomp.Arg(1, seccomp.MASKED_EQ, 0xFFFFFFFF, request))
    for bit in range(NEW_NAMESPACES.bit_length()):
        if flag := NEW_NAMESPACES & (1 << bit):
            rules.add_rule(seccomp.ERRNO(errno.EPERM), "clone", seccomp.Arg(0, seccomp.MASKED_EQ, flag, flag))
    rules.add_rule(seccomp.ERRNO(errno.ENOSYS), "clone3")  # its flags lie in memory; the C library then takes clone
    rules.export_bpf(file)
    file.seek(0)
