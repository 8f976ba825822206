//! The laws of the made-up chain.

use std::collections::{BTreeMap, BTreeSet};

use ed25519_dalek::{Signature, VerifyingKey};
use mock_node::{
    Event, Filter,
    chain::{Chain, ChainConfig, several},
    event::Payload,
};
use proptest::prelude::*;

fn config() -> impl Strategy<Value = ChainConfig> {
    (any::<u64>(), 1..12_usize, 0..6_u32, 1..10_u64).prop_map(
        |(seed, validators, deploys_per_block, era_length)| ChainConfig {
            seed,
            validators,
            deploys_per_block,
            era_length,
            step_transforms: 3,
            ..ChainConfig::default()
        },
    )
}

fn blocks(config: &ChainConfig, first: u64, count: u64) -> Vec<Vec<Payload>> {
    let mut chain = Chain::at(config.clone(), first);
    (0..count).map(|_| chain.next_block()).collect()
}

fn is_key(key: &str) -> bool {
    let bytes: Vec<u8> = (2..key.len())
        .step_by(2)
        .filter_map(|at| u8::from_str_radix(key.get(at..at + 2)?, 16).ok())
        .collect();
    match &key[..2] {
        "01" => <[u8; 32]>::try_from(bytes).is_ok_and(|bytes| VerifyingKey::from_bytes(&bytes).is_ok()),
        "02" => bytes.len() == 33 && matches!(bytes[0], 2 | 3),
        _ => false,
    }
}

fn is_signature(signature: &str, key: &str) -> bool {
    let bytes: Option<Vec<u8>> = (2..signature.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(signature.get(at..at + 2)?, 16).ok())
        .collect();
    let bytes = bytes.unwrap_or_default();
    signature[..2] == key[..2]
        && Signature::from_slice(&bytes).is_ok()
        && (&key[..2] == "02" || bytes[63] < 16)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_deploy_has_one_end_and_hashes_never_repeat(config in config()) {
        let mut hashes = BTreeSet::new();
        let mut accepted = BTreeMap::new();
        let mut ended = BTreeSet::new();
        for (height, payloads) in blocks(&config, 0, 60).into_iter().enumerate() {
            let mut in_block = BTreeSet::new();
            for payload in payloads {
                match payload {
                    Payload::BlockAdded(block) => {
                        prop_assert_eq!(block.block.header.height, height as u64);
                        prop_assert!(hashes.insert(block.block_hash.clone()), "a block hash twice");
                        prop_assert_eq!(&block.block_hash, &block.block.hash);
                        let body = block.block.body;
                        in_block.extend(body.deploy_hashes.into_iter().chain(body.transfer_hashes));
                    }
                    Payload::DeployAccepted(deploy) => {
                        prop_assert!(is_key(&deploy.header.account));
                        let approval = &deploy.approvals[0];
                        prop_assert!(is_signature(&approval.signature, &approval.signer));
                        prop_assert!(hashes.insert(deploy.hash.clone()), "a deploy hash twice");
                        accepted.insert(deploy.hash, height);
                    }
                    Payload::DeployProcessed(done) => {
                        prop_assert!(in_block.remove(&done.deploy_hash), "processed after its block, and once");
                        prop_assert!(accepted.contains_key(&done.deploy_hash) && ended.insert(done.deploy_hash));
                    }
                    Payload::DeployExpired(expired) => {
                        prop_assert!(accepted.contains_key(&expired.deploy_hash));
                        prop_assert!(ended.insert(expired.deploy_hash));
                    }
                    _ => {}
                }
            }
            prop_assert!(in_block.is_empty(), "all of a block's deploys are processed");
        }
        for (hash, height) in accepted {
            prop_assert!(height >= 56 || ended.contains(&hash), "accepted at {height}, and no end");
        }
    }

    #[test]
    fn eras_end_with_a_step_then_a_switch_block_and_all_validators_sign(config in config()) {
        for (height, payloads) in blocks(&config, 0, 30).into_iter().enumerate() {
            let ends = (height as u64).is_multiple_of(config.era_length);
            let mut step = None;
            let mut signers = BTreeSet::new();
            for payload in payloads {
                match payload {
                    Payload::Step(found) => step = Some(found.era_id),
                    Payload::BlockAdded(block) => {
                        let header = block.block.header;
                        prop_assert_eq!(header.era_end.is_some(), ends);
                        prop_assert_eq!(step, ends.then_some(header.era_id), "the Step comes before its block");
                    }
                    Payload::FinalitySignature(signature) => {
                        prop_assert!(is_key(&signature.public_key));
                        prop_assert!(is_signature(&signature.signature, &signature.public_key));
                        prop_assert!(signers.insert(signature.public_key));
                    }
                    Payload::Fault(fault) => prop_assert!(signers.contains(&fault.public_key)),
                    _ => {}
                }
            }
            prop_assert_eq!(signers.len(), config.validators);
        }
    }

    #[test]
    fn a_chain_can_be_entered_anywhere(config in config(), height in 0..40_u64) {
        let skipped: usize = blocks(&config, 0, height).iter().map(Vec::len).sum();
        let tail: Vec<Event> = Chain::new(config.clone()).skip(skipped).take(100).collect();
        let entered: Vec<Event> = Chain::at(config, height).take(100).collect();
        prop_assert_eq!(tail, entered);
    }

    #[test]
    fn several_nodes_send_the_same_events_in_orders_a_real_node_could_have(config in config()) {
        let mut feeds = several(config.clone(), 5, 3);
        for expected in blocks(&config, 5, 20) {
            let main = |events: &[Event]| -> Vec<Event> {
                events.iter().filter(|event| event.filter() == Filter::Main).cloned().collect()
            };
            let expected: Vec<Event> = expected.into_iter().map(Event::from).collect();
            let sorted = |mut events: Vec<Event>| {
                events.sort_by(|one, other| one.data().cmp(other.data()));
                events
            };
            for feed in &mut feeds {
                let block = feed.next_block();
                prop_assert!(block.is_sorted_by_key(|scheduled| scheduled.at));
                let sent: Vec<Event> = block.into_iter().map(|scheduled| scheduled.event).collect();
                prop_assert_eq!(main(&sent), main(&expected), "main keeps the chain's order");
                prop_assert_eq!(sorted(sent), sorted(expected.clone()), "the same events");
            }
        }
    }
}

#[test]
fn nodes_of_one_chain_differ_in_order_and_signatures_stand_on_both_sides_of_their_block() {
    let mut feeds = several(ChainConfig::default(), 0, 2);
    let mut sides = BTreeSet::new();
    let mut same = 0;
    for _ in 0..20 {
        let sent: Vec<Vec<_>> = feeds
            .iter_mut()
            .map(|feed| feed.next_block().into_iter().map(|one| one.event).collect())
            .collect();
        same += usize::from(sent[0] == sent[1]);
        let is_block = |event: &Event| event.data().starts_with(b"{\"BlockAdded\"");
        let block = sent[0].iter().position(is_block).expect("each block has a BlockAdded");
        let signed = sent[0].iter().enumerate().filter(|(_, event)| event.filter() == Filter::Sigs);
        sides.extend(signed.map(|(at, _)| at < block));
    }
    assert!(same < 5, "{same} of 20 blocks came in the same order");
    assert_eq!(sides.len(), 2);
}
