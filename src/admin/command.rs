//! The commands of XEP-0133 that there are, their nodes, names and fields.

/// A command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // The names of XEP-0133.
pub enum Command {
    AddUser,
    DeleteUser,
    DisableUser,
    ReenableUser,
    EndUserSession,
    ChangeUserPassword,
    GetUserLastlogin,
    UserStats,
    GetRegisteredUsersNum,
    GetDisabledUsersNum,
    GetOnlineUsersNum,
    GetRegisteredUsersList,
    GetDisabledUsersList,
    GetOnlineUsersList,
    Announce,
    /// Not in XEP-0133; named as other servers name it.
    AnnounceAll,
}

/// A field of a form. XEP-0004 §3.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub var: &'static str,
    pub label: &'static str,
    pub kind: &'static str,
    pub required: bool,
}

impl Command {
    /// All of them, in the order they are listed.
    pub const ALL: [Command; 16] = [
        Command::AddUser,
        Command::DeleteUser,
        Command::DisableUser,
        Command::ReenableUser,
        Command::EndUserSession,
        Command::ChangeUserPassword,
        Command::GetUserLastlogin,
        Command::UserStats,
        Command::GetRegisteredUsersNum,
        Command::GetDisabledUsersNum,
        Command::GetOnlineUsersNum,
        Command::GetRegisteredUsersList,
        Command::GetDisabledUsersList,
        Command::GetOnlineUsersList,
        Command::Announce,
        Command::AnnounceAll,
    ];

    /// The command of a node.
    pub fn of(node: &str) -> Option<Command> {
        let name = node.strip_prefix(NODE_PREFIX)?;
        Command::ALL.into_iter().find(|command| command.suffix() == name)
    }

    /// Its node. XEP-0133 §4.
    pub fn node(self) -> String {
        format!("{NODE_PREFIX}{}", self.suffix())
    }

    fn suffix(self) -> &'static str {
        match self {
            Command::AddUser => "add-user",
            Command::DeleteUser => "delete-user",
            Command::DisableUser => "disable-user",
            Command::ReenableUser => "reenable-user",
            Command::EndUserSession => "end-user-session",
            Command::ChangeUserPassword => "change-user-password",
            Command::GetUserLastlogin => "get-user-lastlogin",
            Command::UserStats => "user-stats",
            Command::GetRegisteredUsersNum => "get-registered-users-num",
            Command::GetDisabledUsersNum => "get-disabled-users-num",
            Command::GetOnlineUsersNum => "get-online-users-num",
            Command::GetRegisteredUsersList => "get-registered-users-list",
            Command::GetDisabledUsersList => "get-disabled-users-list",
            Command::GetOnlineUsersList => "get-online-users-list",
            Command::Announce => "announce",
            Command::AnnounceAll => "announce-all",
        }
    }

    /// Its name in a list.
    pub fn title(self) -> &'static str {
        match self {
            Command::AddUser => "Add a user",
            Command::DeleteUser => "Delete users",
            Command::DisableUser => "Disable users",
            Command::ReenableUser => "Re-enable users",
            Command::EndUserSession => "End sessions of users",
            Command::ChangeUserPassword => "Change a user's password",
            Command::GetUserLastlogin => "When a user last logged in",
            Command::UserStats => "A user's figures",
            Command::GetRegisteredUsersNum => "Number of registered users",
            Command::GetDisabledUsersNum => "Number of disabled users",
            Command::GetOnlineUsersNum => "Number of online users",
            Command::GetRegisteredUsersList => "List of registered users",
            Command::GetDisabledUsersList => "List of disabled users",
            Command::GetOnlineUsersList => "List of online users",
            Command::Announce => "Announce to online users",
            Command::AnnounceAll => "Announce to all users",
        }
    }

    /// What its form asks for; nothing if it has none.
    pub(super) fn fields(self) -> &'static [Field] {
        match self {
            Command::AddUser => &[ACCOUNT, PASSWORD, PASSWORD_AGAIN],
            Command::ChangeUserPassword => &[ACCOUNT, PASSWORD],
            Command::DeleteUser | Command::DisableUser | Command::ReenableUser => &[ACCOUNTS],
            Command::EndUserSession => &[SESSIONS],
            // XEP-0133 §4.9 calls it so, and means one.
            Command::GetUserLastlogin => &[Field { kind: "jid-single", ..ACCOUNTS }],
            Command::UserStats => &[ACCOUNT],
            Command::GetRegisteredUsersList | Command::GetDisabledUsersList | Command::GetOnlineUsersList => {
                &[MAX_ITEMS]
            }
            Command::Announce | Command::AnnounceAll => &[ANNOUNCEMENT],
            Command::GetRegisteredUsersNum | Command::GetDisabledUsersNum | Command::GetOnlineUsersNum => &[],
        }
    }
}

/// XEP-0133 §3: what all nodes begin with.
const NODE_PREFIX: &str = "http://jabber.org/protocol/admin#";

const ACCOUNT: Field = Field { var: "accountjid", label: "Address of the account", kind: "jid-single", required: true };
const ACCOUNTS: Field =
    Field { var: "accountjids", label: "Addresses of the accounts", kind: "jid-multi", required: true };
const SESSIONS: Field =
    Field { var: "accountjids", label: "Accounts, or single sessions of theirs", kind: "jid-multi", required: true };
const PASSWORD: Field = Field { var: "password", label: "Password", kind: "text-private", required: true };
const PASSWORD_AGAIN: Field =
    Field { var: "password-verify", label: "The password again", kind: "text-private", required: true };
const MAX_ITEMS: Field = Field { var: "max_items", label: "At most so many", kind: "list-single", required: false };
const ANNOUNCEMENT: Field = Field { var: "announcement", label: "Announcement", kind: "text-multi", required: true };
