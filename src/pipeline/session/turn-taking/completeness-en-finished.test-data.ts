/** Utterances as recognisers write them: with smart formatting and without, whole finals and pieces of turns. One a line. */
export const ENGLISH_FINISHED = `
    yes
    Yes.
    no
    No.
    yeah
    Yeah.
    yeah, sure
    Yeah, sure.
    Okay.
    uh-huh
    mm-hmm
    nope
    yes please
    No, thank you.
    thanks
    Thank you very much.
    hello
    Hi there.
    good morning
    that's all
    that's right
    I don't know
    not really
    Never mind.
    goodbye
    Okay, bye.
    maybe
    Sure, why not?
    I think so
    yes I do
    no I don't
    yes it is
    yes I would
    I am
    What are your opening hours?
    what are your opening hours
    do you have parking
    Can I bring my dog?
    can I bring my dog
    how do I get to the hotel
    how are you
    where is it
    what is it about
    who am I speaking with
    where are you calling from
    can you tell me what time it is
    what should I do
    how much does a room cost
    how much is it
    Is breakfast included?
    I'd like to book a table for two.
    I'd like to book a table for two
    I want to cancel my appointment
    I'd like to cancel
    I need to change my reservation please
    my order has not arrived
    my name is John Smith
    I lost my card
    It's broken.
    it stopped working this morning
    I spoke to someone yesterday
    We were there at five.
    that's what I'm looking for
    that is all I need
    the one I asked for
    I don't know where my order is
    I've called before.
    What's going on?
    turn it off
    can I check in
    Come in.
    book a taxi
    transfer me to an agent
    tell me more
    please repeat that
    hang up
    stop
    help
    cancel my order
    let's do that
    I want that.
    tomorrow
    tomorrow at five
    at five
    at 5
    at five thirty
    two people
    for two people
    room 12
    room three oh two
    next Tuesday
    Tuesday the fourth
    the blue one
    in the morning
    to the airport
    twenty five
    five
    about ten minutes
    a double room
    If it rains, we'll stay home.
    if I book today do I get a discount
    because I lost my card
    Me too.
    as soon as possible
    sounds good
    I'm calling about my bill
    I'm not happy with it
    my number is 555-0123
    555-0123
    (415) 555-0123
    It's 415-555-0123.
    four one five five five five oh one two three
    plus one four one five five five five oh one two three
    my zip code is 90210
    nine oh two one oh is my zip code
    jane.doe@example.com
    it's jane dot doe at example dot com
    my email is not working
    my card number is 4242 4242 4242 4242
    SW1A 1AA
    My PIN is 4321.
    born on March 3rd 1984
    march third nineteen eighty four
    The last four are 9876.
    I was born in 1984.
    it's about four hundred dollars
    I said yes.
    plan b
    at 5 p.m.
    five p m
    I'm in the US
    hold on
    just a second
    Well, it depends.
    not at the moment
    I would like to speak to a human
    what would you like
    what do you think
    the account
    from my wife
    this is my first time
    that was wrong
    that one is broken
    how do you know
    what do you mean
    I'm doing well
    Absolutely.
    sounds perfect thank you
    no that's everything
    Can you hear me?
    can you hear me
    is anybody there
    are you a robot
    I'm looking for a plumber
    we moved to a new house last month
    my husband already called you about it
    what's the price for two nights
    do you ship to Canada
    when does the pool open
    I'd like to speak with a manager
    could you say that again please
    I have an appointment on Friday
    My flight was cancelled.
    the internet is down
    the door won't open
    nothing works
    I paid last week
    it was delivered to the wrong address
    yeah that's fine
    no it's not
    no I'm not
    yeah I can do that
    Thursday works for me
    either is fine
    the second one
    a large pizza with mushrooms
    twelve people
    two tickets for the eight o'clock show
    half past three
    quarter to nine
    a quarter past
    seven in the evening
    it's for my daughter
    for my daughter
    I'm allergic to nuts
    How long does it take to get there?
    is it far from the station
    what floor are you on
    who is it for
    I'm not sure what you mean
    I don't understand
    say that again
    put me through to sales
    I'll take it
    that'll be all
    we're done
    please cancel it
    remind me tomorrow
    six
    ninety nine
    the fifteenth
    March third
    about a week ago
    since Monday
    no problem
    you're welcome
    I have no idea
    it's 202 555 0147
    my email's sam at gmail dot com
    call me at 202-555-0147
    oh okay I see
    why is that
    is that so
    yes he has
    Because it's too expensive.
    I was charged twice
    how are you doing today
    five minutes
    ten
    room 204
    flight 370
    the one on Main Street
    what do you have
    when can I come in
    which one is cheaper`;
