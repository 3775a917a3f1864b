//! The chat room: who is here, who has joined, who is logged in, and who hears of it.
//!
//! A pure state machine: events in, effects out. It knows no sockets, ciphers, passwords or clocks; `connection` turns
//! packets into events once they are decrypted and, for accounts, verified, and `delivery` carries effects out.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

use chat_core::names::{ClientId, Username};
use chat_core::packet::PacketType;
use chat_core::roster::Change;
use chat_core::text::{self, Display};

/// What is to be sent, in clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// A packet for the client whose event it was.
    Reply(PacketType, String),
    /// A packet for every open connection, joined or not.
    Everyone(PacketType, String),
    /// The user list may have changed: everyone is to receive it, after the packet before this effect. Whoever carries
    /// this out may join several into one list.
    UserList,
    /// The user list has not changed: the client whose event it was is to receive it all the same.
    SameUserList,
}

/// What a client does, after everything that needs more than the room to decide has been decided.
#[derive(Clone, Debug)]
pub(crate) enum Event<'a> {
    /// CONNECT.
    Connect,
    /// JOIN, and CONNECT in the dialect of January 2026.
    Join,
    /// The exchange of keys in that dialect: the client is in the room from then on, and nobody is told yet.
    Enter,
    /// LEAVE.
    Leave,
    /// LOGIN with a name and whether the password was right.
    Login(&'a Username, bool),
    /// LOGOUT.
    Logout,
    /// MESSAGE.
    Message(&'a str),
    /// WHOAMI, from this address.
    WhoAmI(SocketAddr),
}

#[derive(Debug)]
struct Client {
    joined: bool,
    user: Option<Username>,
}

/// The state of the room.
#[derive(Debug, Default)]
pub(crate) struct Room {
    clients: BTreeMap<ClientId, Client>,
    logged_in: HashMap<Username, ClientId>,
    accepted: u64,
    /// How the user list has changed since it was last asked, as the body of a ROSTER.
    changes: String,
    list: UserList,
}

/// The user list as it was when it was last asked for.
#[derive(Debug, Default)]
struct UserList {
    text: String,
    is_old: bool,
}

impl Room {
    /// Lets a new connection in; it hears everything from now on.
    pub(crate) fn open(&mut self) -> ClientId {
        self.accepted += 1;
        let id = ClientId(self.accepted);
        self.clients.insert(id, Client { joined: false, user: None });
        id
    }

    /// Removes a connection, however it ended, and tells the rest what they could notice of it.
    pub(crate) fn close(&mut self, id: ClientId, effects: &mut Vec<Effect>) {
        let Some(client) = self.clients.remove(&id) else { return };
        if let Some(user) = &client.user {
            self.logged_in.remove(user);
        }
        let (joined, who) = (client.joined, display(id, client.user.as_ref()));
        if joined {
            self.changes += &Change::Removed(&who.to_string()).to_string();
        }
        match client.user {
            _ if joined => announce(PacketType::LEAVE, text::left(&who), effects),
            Some(user) => announce(PacketType::LOGOUT, text::logged_out(&user), effects),
            None => {}
        }
    }

    /// Returns what others call a client.
    pub(crate) fn display(&self, id: ClientId) -> Display {
        display(id, self.clients.get(&id).and_then(|client| client.user.as_ref()))
    }

    /// Returns the client that is logged in by a name, or has it, as in `Client-7`.
    pub(crate) fn find(&self, who: &str) -> Option<ClientId> {
        let numbered = || {
            let id = ClientId(who.strip_prefix("Client-")?.parse().ok()?);
            // Not a number that is written in another way.
            (self.clients.contains_key(&id) && id.to_string() == who).then_some(id)
        };
        self.logged_in.get(who).copied().or_else(numbered)
    }

    /// Returns the name that a client is logged in by.
    pub(crate) fn user(&self, id: ClientId) -> Option<Username> {
        self.clients.get(&id)?.user.clone()
    }

    /// Returns the number of open connections.
    pub(crate) fn len(&self) -> usize {
        self.clients.len()
    }

    /// Returns the number of clients that have joined.
    pub(crate) fn joined(&self) -> usize {
        self.clients.values().filter(|client| client.joined).count()
    }

    /// Returns the number of clients that are logged in.
    pub(crate) fn logged_in(&self) -> usize {
        self.logged_in.len()
    }

    /// Applies one event of a client and appends what is to be sent, in order.
    pub(crate) fn handle(&mut self, id: ClientId, event: Event<'_>, effects: &mut Vec<Effect>) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        match event {
            Event::Connect => effects.push(Effect::Reply(PacketType::CONNECT, text::connected(id))),
            Event::WhoAmI(peer) => {
                let body = text::whoami(id, peer, client.user.as_ref());
                effects.push(Effect::Reply(PacketType::WHOAMI, body));
            }
            Event::Message(message) => {
                let body = text::message(&display(id, client.user.as_ref()), message);
                effects.push(Effect::Everyone(PacketType::MESSAGE, body));
            }
            Event::Join => {
                self.enter(id);
                // It may have entered before without anybody's being told.
                let list = self.pending_list();
                effects.extend([Effect::Everyone(PacketType::JOIN, text::joined(id)), list]);
            }
            Event::Enter => self.enter(id),
            Event::Leave => {
                // Leaving logs out without a LOGOUT packet.
                let user = client.user.take();
                if let Some(user) = &user {
                    self.logged_in.remove(user);
                }
                let who = display(id, user.as_ref());
                if std::mem::take(&mut client.joined) {
                    self.changes += &Change::Removed(&who.to_string()).to_string();
                }
                let list = self.pending_list();
                effects.extend([Effect::Everyone(PacketType::LEAVE, text::left(&who)), list]);
            }
            Event::Login(user, verified) => self.login(id, user, verified, effects),
            Event::Logout => {
                if let Some(user) = client.user.take() {
                    if client.joined {
                        rename(&mut self.changes, &user, &id);
                    }
                    self.logged_in.remove(&user);
                    announce(PacketType::LOGOUT, text::logged_out(&user), effects);
                }
            }
        }
    }

    /// What is to be sent after a JOIN or LEAVE: strangers may repeat those as often as they like, so that only one that
    /// changes something makes a list for everyone.
    fn pending_list(&self) -> Effect {
        if self.changes.is_empty() { Effect::SameUserList } else { Effect::UserList }
    }

    fn enter(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        if !std::mem::replace(&mut client.joined, true) {
            let who = display(id, client.user.as_ref()).to_string();
            self.changes += &Change::Added(&who).to_string();
        }
    }

    /// A name is logged in once at a time; a client that is logged in may change to another name, whose former one is
    /// then free.
    fn login(&mut self, id: ClientId, user: &Username, verified: bool, effects: &mut Vec<Effect>) {
        if !verified || self.logged_in.contains_key(user) {
            effects.push(Effect::Reply(PacketType::LOGIN, text::login_refused(user.as_str())));
            return;
        }
        let Some(client) = self.clients.get_mut(&id) else { return };
        let former = client.user.replace(user.clone());
        if client.joined {
            rename(&mut self.changes, &display(id, former.as_ref()), user);
        }
        former.map(|former| self.logged_in.remove(&former));
        self.logged_in.insert(user.clone(), id);
        announce(PacketType::LOGIN, text::logged_in(id, user), effects);
    }

    /// Takes how the user list has changed since this was last called, as the body of a ROSTER.
    pub(crate) fn take_changes(&mut self) -> String {
        self.list.is_old |= !self.changes.is_empty();
        std::mem::take(&mut self.changes)
    }

    /// Returns the user list as it is now: everyone who has joined. It is made anew only if it has changed.
    pub(crate) fn user_list(&mut self) -> &str {
        if self.list.is_old || !self.changes.is_empty() {
            let joined = self.clients.iter().filter(|(_, client)| client.joined);
            let names: Vec<_> =
                joined.map(|(id, client)| display(*id, client.user.as_ref()).to_string()).collect();
            let text = text::user_list(names.iter().map(String::as_str));
            self.list = UserList { text, is_old: false };
        }
        &self.list.text
    }

    /// Returns the user list as it was when it was last asked for.
    pub(crate) fn last_user_list(&self) -> &str {
        &self.list.text
    }
}

fn display(id: ClientId, user: Option<&Username>) -> Display {
    user.map_or(Display::Client(id), |user| Display::User(user.clone()))
}

fn rename(changes: &mut String, from: &impl ToString, to: &impl ToString) {
    *changes += &Change::Removed(&from.to_string()).to_string();
    *changes += &Change::Added(&to.to_string()).to_string();
}

/// Tells everyone of something that changes the user list.
fn announce(kind: PacketType, body: String, effects: &mut Vec<Effect>) {
    effects.push(Effect::Everyone(kind, body));
    effects.push(Effect::UserList);
}

#[cfg(test)]
mod tests {
    use chat_core::roster;
    use proptest::prelude::*;

    use super::*;

    fn peer() -> SocketAddr {
        "127.0.0.1:42101".parse().unwrap()
    }

    fn user(name: &str) -> Username {
        Username::parse(name).unwrap()
    }

    /// Runs one event and shows its effects as `to TYPE body`, one per line.
    fn run(room: &mut Room, id: ClientId, event: Event<'_>) -> Vec<String> {
        let mut effects = Vec::new();
        room.handle(id, event, &mut effects);
        show(room, &effects)
    }

    fn show(room: &mut Room, effects: &[Effect]) -> Vec<String> {
        let mut line = |effect: &Effect| match effect {
            Effect::Reply(kind, body) => format!("one {} {body}", kind.name()),
            Effect::Everyone(kind, body) => format!("all {} {body}", kind.name()),
            Effect::UserList => format!("all USERLIST {}", room.user_list()),
            Effect::SameUserList => format!("one USERLIST {}", room.user_list()),
        };
        let lines = effects.iter().map(|effect| line(effect).trim_end().to_owned()).collect();
        room.take_changes();
        lines
    }

    #[test]
    fn joining_and_leaving_tell_everyone_with_the_list_after_it() {
        let mut room = Room::default();
        let (a, b) = (room.open(), room.open());
        let joined = ["all JOIN Server: Client-2 joined the chat room", "all USERLIST Client-2"];
        assert_eq!(run(&mut room, b, Event::Join), joined);
        let [joined, _] = joined;
        assert_eq!(run(&mut room, b, Event::Join), [joined, "one USERLIST Client-2"], "repeated");
        assert_eq!(run(&mut room, a, Event::Join)[1], "all USERLIST Client-1:Client-2");
        let left = ["all LEAVE Server: Client-1 left the chat room", "all USERLIST Client-2"];
        assert_eq!(run(&mut room, a, Event::Leave), left);
        let [left, _] = left;
        assert_eq!(run(&mut room, a, Event::Leave), [left, "one USERLIST Client-2"], "without having joined");
    }

    #[test]
    fn who_entered_without_a_word_is_on_the_list_of_everyone_with_its_join() {
        let mut room = Room::default();
        let (a, b) = (room.open(), room.open());
        assert_eq!(run_quietly(&mut room, a, Event::Enter), 0);
        assert_eq!(run(&mut room, a, Event::Join)[1], "all USERLIST Client-1");
        assert_eq!(run_quietly(&mut room, a, Event::Enter), 0);
        // Somebody else's change has told everyone meanwhile.
        assert_eq!(run(&mut room, b, Event::Join)[1], "all USERLIST Client-1:Client-2");
        assert_eq!(run(&mut room, a, Event::Join)[1], "one USERLIST Client-1:Client-2");
    }

    /// Runs one event and returns how many effects it had.
    fn run_quietly(room: &mut Room, id: ClientId, event: Event<'_>) -> usize {
        let mut effects = Vec::new();
        room.handle(id, event, &mut effects);
        effects.len()
    }

    #[test]
    fn a_name_is_logged_in_once_and_free_again_afterwards() {
        let mut room = Room::default();
        let (a, b) = (room.open(), room.open());
        let alice = user("alice");
        run(&mut room, a, Event::Join);
        assert_eq!(
            run(&mut room, a, Event::Login(&alice, true)),
            ["all LOGIN Server: Client-1 logged in as alice", "all USERLIST alice"]
        );
        let refused = ["one LOGIN Server: Unable to login as alice"];
        assert_eq!(run(&mut room, b, Event::Login(&alice, true)), refused);
        assert_eq!(run(&mut room, a, Event::Login(&alice, true)), refused, "by the same client");
        assert_eq!(
            run(&mut room, b, Event::Login(&user("bob"), false)),
            ["one LOGIN Server: Unable to login as bob"]
        );
        assert_eq!(run(&mut room, a, Event::Login(&user("carol"), true))[1], "all USERLIST carol");
        assert_eq!(
            run(&mut room, b, Event::Login(&alice, true))[0],
            "all LOGIN Server: Client-2 logged in as alice"
        );
        assert_eq!(
            run(&mut room, b, Event::Logout),
            ["all LOGOUT Server: alice logged out", "all USERLIST carol"]
        );
        assert_eq!(run(&mut room, b, Event::Logout), [""; 0]);
    }

    #[test]
    fn leaving_logs_out_and_clears_the_name() {
        let mut room = Room::default();
        let a = room.open();
        run(&mut room, a, Event::Login(&user("alice"), true));
        assert_eq!(run(&mut room, a, Event::Leave)[0], "all LEAVE Server: alice left the chat room");
        assert_eq!(run(&mut room, a, Event::Message("hi\n")), ["all MESSAGE Client-1: hi"]);
        assert!(run(&mut room, a, Event::WhoAmI(peer()))[0].ends_with("username=None"));
        assert_eq!(run(&mut room, a, Event::Join)[1], "all USERLIST Client-1");
    }

    #[test]
    fn whoever_vanishes_is_missed_as_far_as_others_knew_of_them() {
        let check = |joined: bool, logged_in: bool, expected: &[&str]| {
            let mut room = Room::default();
            let a = room.open();
            if joined {
                run(&mut room, a, Event::Join);
            }
            if logged_in {
                run(&mut room, a, Event::Login(&user("alice"), true));
            }
            let mut effects = Vec::new();
            room.close(a, &mut effects);
            room.close(a, &mut effects);
            assert_eq!(show(&mut room, &effects), expected);
            assert_eq!((room.len(), room.logged_in.len()), (0, 0));
            assert_eq!(room.open(), ClientId(2), "numbers are never reused");
        };
        check(false, false, &[]);
        check(true, false, &["all LEAVE Server: Client-1 left the chat room", "all USERLIST"]);
        check(true, true, &["all LEAVE Server: alice left the chat room", "all USERLIST"]);
        check(false, true, &["all LOGOUT Server: alice logged out", "all USERLIST"]);
    }

    #[test]
    fn messages_pass_unchanged() {
        let mut room = Room::default();
        let a = room.open();
        for text in ["", "no line feed", "two\nlines\n", "π and 😀 é\n"] {
            let mut effects = Vec::new();
            room.handle(a, Event::Message(text), &mut effects);
            assert_eq!(effects, [Effect::Everyone(PacketType::MESSAGE, format!("Client-1: {text}"))]);
        }
    }

    proptest! {
        /// After any history a name is held by exactly the client that shows it.
        #[test]
        fn names_and_clients_agree_and_changes_make_the_list(steps in prop::collection::vec((0_u8..8, 0_usize..4, 0_usize..3), 0..80)) {
            let names = ["alice", "bob", "carol"].map(user);
            let mut room = Room::default();
            let mut open: Vec<ClientId> = Vec::new();
            let mut list = Vec::new();
            for (action, which, name) in steps {
                let Some(&id) = open.get(which) else { open.push(room.open()); continue };
                let mut effects = Vec::new();
                match action {
                    0 => { room.close(id, &mut effects); open.remove(which); }
                    1 => room.handle(id, Event::Join, &mut effects),
                    2 => room.handle(id, Event::Leave, &mut effects),
                    3 => room.handle(id, Event::Logout, &mut effects),
                    4 => room.handle(id, Event::Message("x"), &mut effects),
                    verified => room.handle(id, Event::Login(&names[name], verified != 5), &mut effects),
                }
                prop_assert_eq!(room.len(), open.len());
                let shown: BTreeMap<_, _> =
                    room.clients.iter().filter_map(|(id, c)| Some((c.user.clone()?, *id))).collect();
                let held: BTreeMap<_, _> = room.logged_in.iter().map(|(u, id)| (u.clone(), *id)).collect();
                prop_assert_eq!(shown, held);
                roster::apply(&room.take_changes(), &mut list);
                prop_assert_eq!(list.join(":"), room.user_list());
            }
        }
    }
}
