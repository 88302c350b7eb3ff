"""All that can happen to two workers in a small world: this file is what the explorer is, and what it shows.

The simulation draws worlds at random; the explorer leaves nothing to chance. It takes a world so small that everything
that can happen in it can be tried, in every order: leases are taken, renewed and lapse, answers are lost, functions
fail, saves land late, processes stand still and go on (zombies), crash and start again. Each state is visited once,
and in each the promises are kept:

  lost       a checkpoint in the store never passes a record that was neither handled nor given up
  back       a checkpoint in the store never goes back, in no lane
  parent     no record of a child is attempted before all of its parents' are done
  order      no record is attempted before those of its key that came before it are done
  fence      a lease that another one replaced changes nothing in the store
  exclusion  two workers attempt one shard at the same time only if one of them stood still beyond its lease
  end        from every state, workers that are left in peace finish all shards

**What is real.** The decisions are poller's own: `lineage.unknown`, `starting_checkpoint` and `readable`,
`LeaseWatch` and `LeaseTimes`, `Progress` and `by_lane`, `failure.judge` and `expire`, and the verbs of `MemoryStore`
with its fence. What is told again here is only in which order the engine calls them (`worker`), cut into steps
between which anything else may happen. Each rule is a field of the `World`, so that a counter-example is a world in
which one of them is something else: that the explorer finds what breaks then shows that it can see.

**How it is so fast.** What couples shards is little: the gate of the parents, and the crash or stop of a worker. So the
life of one shard is worked out once (`shard`), with the real rules, and its states are numbered; a state of the world
is the numbers of its shards, in one integer (`search`). That is exact: no state is taken for another one, as digests
might be.

**What keeps it finite.** Tokens and counters are only compared, and counted up; they are renamed to the few that
somebody still knows. A process that starts again has a new name, and its old one becomes "gone". Time is counted in
ticks, for each shard on its own, since only its lease sees any of it. Faults (a crash, a stop, a standstill, a lost
answer) may be limited in number by the world; where they are not, what holds is true for any number of them.

**What is left out.** An invocation that is cut off ends at once, a shard has one late save on its way at most, and no
lane that is full falls behind; the simulation has all of that, and the engine itself.

``python -m tests.explorer --states 5000000`` explores the larger worlds, ``--traces`` prints the counter-examples.
"""
