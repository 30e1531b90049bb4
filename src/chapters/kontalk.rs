//! # What Kontalk's clients speak, and what we make of it
//!
//! The apps (for Android, for the desktop, and bots) were written for another server, and they must work with this one unchanged. What
//! follows is each namespace and stanza that they use, what the node does, and the test that shows it: a Rust test by its name, or a
//! transcript in `tests/transcripts/`. `tests/chapters.rs` checks that all of them exist. Two tests play everything in the apps' own
//! order: `android_from_its_first_launch_to_a_day_of_use`, `the_desktop_app_with_the_key_that_android_exported`.
//!
//! ## Addresses
//! An account is the SHA-1 of its telephone number, `+` and digits, in hexadecimal. Besides `DOMAIN` the apps have these
//! wired in: `probe@DOMAIN` (who of my address book is here), `network@DOMAIN` (which servers are there), `multicast@DOMAIN` (one message
//! for a group), `push@DOMAIN`.
//!
//! ## Namespaces and stanzas
//!
//! | Namespace | Stanza or element | What the node does | Tests |
//! |---|---|---|---|
//! | `jabber:iq:register` | iq before login | form, number, code; FORM_TYPE is not looked at. A number in use here or at a node we trust conflicts, unless its user insists; the nodes have four seconds to say so | `a_phone_form_is_read_by_the_names_of_its_fields`, `a_number_in_use_at_another_node_conflicts_unless_its_user_insists`, `first_launch_over_starttls_and_tls_1_2` |
//! | `http://kontalk.org/protocol/register#code` | code and certified key | checks, certifies, stores, then answers; the answer can be had again | `a_code_needs_the_bridge_certificate_of_its_own_number`, `a_lost_answer_can_be_asked_for_again_with_the_same_key` |
//! | `http://kontalk.org/protocol/register#key` | key update | new key for revoked old one; roster and messages stay; answered with FORM_TYPE `#code` | `a_new_key_takes_the_place_of_a_revoked_one_and_everything_else_stays` |
//! | `http://kontalk.org/protocol/register#privatekey` | parks a secret key | a token of 40 digits, 15 minutes, once | `a_private_key_moves_to_another_device_once` |
//! | `http://kontalk.org/protocol/register#account` | fetches it, before login | once, guesses are slowed down | `a_parked_key_is_fetched_once_in_time_and_by_its_token_alone` |
//! | `http://jabber.org/features/iq-register` | stream feature | offered before login | `the_mechanisms_are_those_of_a_connection_without_certificate` |
//! | `http://kontalk.org/extensions/roster` | roster match at `probe@DOMAIN` | accounts of this node and of those it trusts, by their true domain, within a budget; whoever does not answer costs ten seconds; white space hides how many were found | `the_address_book_is_matched_at_probe`, `a_user_of_one_node_finds_subscribes_and_talks_to_one_of_another`, `a_node_that_is_away_delays_the_address_book_and_harms_nothing`, `an_address_book_fits_and_a_crawl_does_not`, `an_answer_does_not_tell_by_its_length_how_many_were_found` |
//! | `http://kontalk.org/extensions/roster` | stream feature; query without address | not offered; answered for very old clients | `the_address_book_is_matched_at_probe` |
//! | `http://kontalk.org/extensions/serverlist` | ad-hoc command at `network@DOMAIN` | our own node and those it trusts; a doubled `xmlns` is borne | `the_server_list_is_told_even_to_a_request_with_two_xmlns` |
//! | `urn:xmpp:pubkey:2` | iq get | the node's key at the domain, an account's at its address, always with `from` | `public_keys_are_those_that_were_certified_and_come_from_who_was_asked` |
//! | `urn:xmpp:pubkey:2` | key in `subscribe` | the sender's own is put in, whatever was there goes | `presence_tells_the_key_and_a_request_brings_it_whatever_the_client_claims` |
//! | `urn:xmpp:pubkey:2` | fingerprint in presence | put in | `a_request_brings_the_key_presence_its_fingerprint_and_contacts_are_never_lost` |
//! | `jabber:iq:last` | iq get | a living contact is always found; strangers learn nothing | `a_living_contact_is_always_found_and_a_stranger_never` |
//! | `jabber:iq:roster`, `urn:xmpp:features:rosterver` | roster | RFC 6121 with versions and pre-approval | `a_roster_is_sent_again_only_when_its_version_is_old`, `rfc6121_3_4_pre_approval_answers_for_the_user` |
//! | `urn:ietf:params:xml:ns:xmpp-sasl` | EXTERNAL, `=` | the certified key in the certificate lets in, nothing else | `only_the_owner_of_a_certified_key_logs_in` |
//! | `urn:ietf:params:xml:ns:xmpp-bind`, `-session` | resource | the one asked for; the newest stream wins | `the_newest_stream_wins_a_resource` |
//! | `urn:xmpp:sm:3` | enable, r, a | acknowledged when safe | `an_acknowledged_message_survives_although_its_receiver_never_acknowledged_it` |
//! | `urn:xmpp:csi:0` | active, inactive | presence and events wait, chat states are dropped | `an_inactive_client_is_told_the_latest_presence_before_what_matters` |
//! | `http://jabber.org/features/compress` | stream feature | not offered | `nothing_but_starttls_is_offered_before_tls` |
//! | `urn:ietf:params:xml:ns:xmpp-e2e` | encrypted body | passed on untouched | `android_from_its_first_launch_to_a_day_of_use` |
//! | `http://jabber.org/protocol/address` | message to a group | a copy for each receiver, without the list if there are but `to`; each as safe as any message | `a_message_to_a_group_reaches_each_once_with_the_promise_of_any_message`, `copies_show_what_their_sender_says_and_never_the_blind_ones`, `a_group_on_five_nodes_has_each_message_once_though_one_of_them_is_away` |
//! | `http://kontalk.org/extensions/message#group` | group commands | passed on untouched | `android_from_its_first_launch_to_a_day_of_use` |
//! | `http://kontalk.org/extensions/message#chatstates` | recording | passed on, not stored | `android_from_its_first_launch_to_a_day_of_use` |
//! | `http://kontalk.org/extensions/message#upload` | obsolete upload | service-unavailable; no client of today asks | `the_server_answers_every_request` |
//! | `urn:xmpp:http:upload` | slot in the old form | a path without `&`; PUT is answered with exactly 200 | `a_kontalk_client_uploads_in_the_old_form`, `xep0363_slots_in_both_forms` |
//! | `http://kontalk.org/extensions/presence#push` | register, unregister at `push@DOMAIN` | kept, and delivered by way of a gateway where the operator names one; not offered otherwise | `kontalks_clients_register_in_their_own_way` |
//! | `urn:xmpp:receipts` | request, received | passed on, stored for who is away | `receipts_and_chat_states_pass_between_full_jids`, `offline_storage_keeps_what_kontalk_keeps` |
//! | `urn:xmpp:delay` | delay | one, in the domain's name, three decimals | `offline_messages_survive_a_restart` |
//! | `urn:xmpp:blocking` | blocklist, block, unblock | silent both ways | `blocked_traffic_is_dropped_in_both_directions_without_a_word` |
//! | `jabber:x:oob`, `urn:xmpp:bob` | link and thumbnail | passed on untouched | `android_from_its_first_launch_to_a_day_of_use` |
//! | `jabber:x:signed` | announcement | the operator's words, as a message signed with the server key | `gnupg_reads_what_the_server_announces_and_finds_it_signed` |
//! | `http://jabber.org/protocol/caps` | caps with `ver='none'` | passed on, not verified, nobody is asked | `android_from_its_first_launch_to_a_day_of_use` |
//! | `urn:xmpp:ping`, `jabber:iq:version`, `urn:xmpp:time` | iq get | answered | `xep0199_pings_are_answered`, `xep0092_xep0202_version_and_time` |
//! | `jabber:client` | subscription presence | waits for who is away | `a_request_waits_for_an_absent_user_and_is_repeated_until_answered` |
//! | `jabber:net`, `urn:xmpp:server-receipts` | the first generation of servers | not spoken; service-unavailable | `the_server_answers_every_request` |
//!
//! ## What was weak, and is not any more
//! Weaknesses of the original server that can be mended without the apps noticing. Each test fails on the original's behaviour.
//!
//! | # | Original | Here | Tests |
//! |---|---|---|---|
//! | 1 | codes and tokens from a predictable generator | from the operating system, in one place | `each_library_is_known_to_its_room_alone` |
//! | 2 | guesses without end, codes for ever | 5 tries, 10 minutes, compared in constant time, kept as keyed hashes | `after_five_wrong_codes_even_the_right_one_is_refused`, `expired_code_is_refused_and_forgotten`, `hashes_at_rest_depend_on_key_address_and_code` |
//! | 3 | the code step is not throttled | throttles by network, number, prefix and day | `guesses_are_throttled_by_network_whatever_the_address`, `a_day_has_its_number_of_codes_and_the_next_day_anew` |
//! | 4 | numbers and codes in the log | types that cannot print themselves; every test of a whole node searches its log | `nothing_of_a_number_is_printed`, `a_code_form_is_read_and_does_not_show_its_code` |
//! | 5 | login by any certificate as a fallback | none | `only_the_owner_of_a_certified_key_logs_in` |
//! | 6 | `force` takes an account over silently | nothing is left for the new owner, contacts are told, sessions end | `a_number_in_use_conflicts_and_force_starts_it_afresh`, `force_ends_the_session_of_the_previous_owner` |
//! | 7 | a key update wipes the roster | it stays | `a_new_key_takes_the_place_of_a_revoked_one_and_everything_else_stays` |
//! | 8 | anybody may look up any number of accounts | a daily budget for each account | `an_address_book_fits_and_a_crawl_does_not` |
//! | 9 | keys and last activity for everybody | within the budget; last activity by the target's own roster | `a_living_contact_is_always_found_and_a_stranger_never` |
//! | 10 | a forged key in `subscribe` is passed on | replaced | `presence_tells_the_key_and_a_request_brings_it_whatever_the_client_claims` |
//! | 11 | any listed server may claim any address in a probe's answer | an answer counts from the node that was asked, for its own users that were asked about | `an_answer_counts_from_who_was_asked_for_its_own_users_that_were_asked_about` |
//! | 12 | a stanza's `from` triggers a push | pushes are no stanzas that a client could send | `rfc6120_8_1_2_1_a_forged_sender_ends_the_stream` |
//! | 13 | parked keys never expire | 15 minutes, one fetch, guesses are slowed down | `a_parked_key_is_fetched_once_in_time_and_by_its_token_alone`, `who_guesses_is_slowed_down_and_others_are_not` |
//! | 14 | any ring is merged before it is looked at | 64 KiB, one master key, what is not the owner's is dropped; merged only after the certificate's key fits | `what_is_not_ours_to_keep_is_dropped`, `numbers_of_ids_signatures_and_revocations_are_limited`, `certificates_that_prove_nothing_are_refused_with_their_reason` |
//! | 15 | an unverified id is certified | only what its key signed | `what_its_owner_did_not_sign_is_not_certified` |
//! | 16 | a new key is not proved | it must sign its id and its subkeys | `a_new_key_takes_the_place_of_a_revoked_one_and_everything_else_stays` |
//! | 17 | certificates signed with SHA-1 | the handshake proves, the signature is not looked at | `the_bridge_certificate_is_signed_with_its_own_key_and_has_no_validity` |
//! | 18 | TLS is not required | nothing happens before it | `nothing_but_starttls_is_offered_before_tls` |
//! | 19 | compression | none | `nothing_but_starttls_is_offered_before_tls` |
//! | 20 | multicast amplifies | for our own users, with a limit | `multicast_is_bounded_and_no_relay` |
//! | 21 | maps without bound | all in one table | `many_numbers_from_many_networks_fill_no_more_than_the_limits` |
//! | 22 | "in use" is told before any throttle | asking costs as much as registering | `asking_who_has_an_account_is_throttled_like_registering` |
//! | 23 | waiting messages without bound | 5,000 and 16 MiB for each account | `an_account_has_its_share_and_no_more` |
//! | 24 | a certification taken back counts on | it ends the login | `the_servers_newest_word_decides_a_login` |
//! | 25 | whoever was removed comes back with any certified key | an administrator shuts the account: no login, no code, no new registration | `a_disabled_account_lets_nobody_in_by_any_way_until_it_is_opened_again` |
//!
//! [`crate::account`] is registration, [`crate::pgp`] the keys, [`crate::router`] the way of messages.
