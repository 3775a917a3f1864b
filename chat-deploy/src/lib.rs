//! chat-deploy
