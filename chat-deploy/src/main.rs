//! chat-deploy
fn main() {}
