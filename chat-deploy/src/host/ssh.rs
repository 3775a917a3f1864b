//! A Linux host reached by SSH: systemd runs the server there, and a script of ours does what has to be done as root.

pub mod remote;
