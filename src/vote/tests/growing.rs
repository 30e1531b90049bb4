//! Networks that grow, and a late joiner who verifies all of it.

use super::*;
use crate::trust::NoteSignature;

fn admit(world: &mut World, name: &str, role: Role, by: &str) -> Result<ProposalId, Fault> {
    let proposal = world.proposal(Kind::Admit, None, Some(member(name, role, by)), by);
    let voters = world.voters();
    world.pass(proposal, &voters.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn from_eight_voters_on_a_quarter_may_be_new_within_16_epochs() {
    let names = names(14);
    let mut world = World::of(&[&names[0]], &[]);
    // Up to eight nothing but people limits it, and what was given before does not count.
    for name in &names[1..8] {
        admit(&mut world, name, Role::Voter, &names[0]).unwrap();
    }
    assert_eq!((world.chain.number(), world.chain.state().voter_count()), (7, 8));
    admit(&mut world, &names[8], Role::Voter, &names[0]).unwrap();
    admit(&mut world, &names[9], Role::Voter, &names[0]).unwrap();
    assert_eq!((world.chain.number(), world.chain.state().voter_count()), (9, 10));
    // ⌊10/4⌋ within epochs 8 to 23.
    let refused = Err(Fault::Invalid(Objection::Growth));
    assert_eq!(admit(&mut world, &names[10], Role::Voter, &names[0]), refused);
    for epoch in 10..=23 {
        admit(&mut world, &format!("a{epoch}.example"), Role::Associate, &names[1]).unwrap();
        assert_eq!(world.chain.number(), epoch);
        let waiting: Vec<ProposalId> = world.pool.waiting().map(|waiting| waiting.signed.id()).collect();
        let drafted = world.chain.draft(waiting, &world.pool);
        assert_eq!(drafted.is_some(), epoch == 23, "after epoch {epoch}");
    }
    // The growth that waited.
    let waiting: Vec<ProposalId> = world.pool.waiting().map(|waiting| waiting.signed.id()).collect();
    world.decide(&waiting).unwrap();
    assert_eq!(world.chain.state().voter_count(), 11);
}

/// All texts that a chain refers to, as a peer hands them over.
#[derive(Default)]
struct Archive {
    proposals: BTreeMap<ProposalId, (SignedProposal, Vec<NoteSignature>)>,
    cards: BTreeMap<crate::trust::CardId, ProvedCard>,
}

impl Texts for Archive {
    fn proposal(&self, id: ProposalId) -> Option<&SignedProposal> {
        self.proposals.get(&id).map(|(signed, _)| signed)
    }

    fn yes(&self, id: ProposalId) -> Vec<NoteSignature> {
        self.proposals.get(&id).map(|(_, lines)| lines.clone()).unwrap_or_default()
    }

    fn card(&self, id: crate::trust::CardId) -> Option<&ProvedCard> {
        self.cards.get(&id)
    }

    fn evidence(&self, _: EvidenceId) -> Option<&DoubleVote> {
        None
    }

    fn consent(&self, _: &NodeDomain, _: CharterHash) -> Option<&SignedConsent> {
        None
    }
}

/// A network of ten voters that has decided so often: members come and go, rules change. Returns the first state, too.
fn long_lived(epochs: u64) -> (World, Archive, State) {
    let names = names(10);
    let voters: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut world = World::of(&voters, &[]);
    let (mut archive, state) = (Archive::default(), world.chain.state().clone());
    archive.cards.extend(voters.iter().map(|name| keys(name).proved()).map(|card| (card.id(), card)));
    for epoch in 1..=epochs {
        let by = voters[epoch as usize % 10];
        let guest = format!("g{}.example", epoch / 2);
        let proposal = match epoch % 2 {
            0 => {
                let card = keys(&guest).proved();
                archive.cards.insert(card.id(), card);
                world.proposal(Kind::Admit, None, Some(member(&guest, Role::Associate, by)), by)
            }
            _ if epoch < 3 => world.proposal(Kind::SetParam, None, Some(param("colour", "red")), by),
            _ => {
                let was = world.chain.state().node(&domain(&guest)).cloned();
                world.proposal(Kind::Leave, was, None, &guest)
            }
        };
        let id = world.open(proposal).unwrap();
        world.agree(id, &voters[..7]);
        archive.proposals.insert(id, (world.pool.proposal(id).unwrap().clone(), world.pool.yes(id)));
        world.decide(&[id]).unwrap();
    }
    (world, archive, state)
}

#[test]
fn a_late_joiner_comes_to_the_same_chain_from_the_texts_alone() {
    let (world, archive, state) = long_lived(20);
    let mut chain = Chain::begin(&world.history[0], state, &archive).unwrap();
    for epoch in &world.history[1..] {
        let read = CertifiedEpoch::parse(epoch.to_text().as_bytes()).unwrap();
        chain = chain.follow(&read, &archive).unwrap();
    }
    assert_eq!((chain.head(), chain.number()), (world.chain.head(), 20));
    assert_eq!(chain.state(), world.chain.state());
    // Not from another state, and no epoch left out.
    let other = Chain::begin(&world.history[0], world.chain.state().clone(), &archive);
    assert_eq!(other.err(), Some(Objection::State.into()));
    let first = Chain::begin(&world.history[0], long_lived(0).2, &archive).unwrap();
    assert_eq!(first.follow(&world.history[2], &archive).err(), Some(Objection::Number.into()));
}

/// A figure, not a test: `cargo test --release --lib -- --ignored a_thousand_epochs --nocapture`.
#[test]
#[ignore = "a figure for the documentation; run it with optimisation"]
fn a_thousand_epochs_are_verified_in_seconds() {
    let (world, archive, state) = long_lived(1000);
    let bytes: Vec<String> = world.history.iter().map(CertifiedEpoch::to_text).collect();
    let begun = std::time::Instant::now();
    let mut chain = Chain::begin(&world.history[0], state, &archive).unwrap();
    for epoch in &bytes[1..] {
        let read = CertifiedEpoch::parse(epoch.as_bytes()).unwrap();
        chain = chain.follow(&read, &archive).unwrap();
    }
    assert_eq!(chain.head(), world.chain.head());
    println!("1,000 epochs of 10 voters verified in {:.2} s", begun.elapsed().as_secs_f64());
}
