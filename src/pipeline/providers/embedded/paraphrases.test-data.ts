/** A front desk's questions, and what callers say instead: the thresholds of the dialogue were chosen on these. */
import type { QuestionAndAnswer } from '../spec.ts';

const HOURS = 'We are open from nine to five, Monday through Friday.';
const ADDRESS = 'We are at twelve Harbour Street, next to the museum.';
const PRICE = 'A double room costs one hundred and twenty dollars a night.';
const PARKING = 'Yes, there is free parking behind the house.';
const PETS = 'Yes, dogs are welcome for ten dollars a night.';
const BREAKFAST = 'Breakfast is included and served from seven to ten.';
const WIFI = 'Yes, the wireless network is free in every room.';
const CHECK_IN = 'Check-in is from three in the afternoon.';
const CHECK_OUT = 'Check-out is until eleven in the morning.';
const CANCEL = 'You can cancel free of charge until the day before.';
const POOL = 'We have a heated pool on the roof.';
const AIRPORT = 'A shuttle goes to the airport every half hour.';

export const ENTRIES: readonly QuestionAndAnswer[] = [
  { questions: ['What are your opening hours?', 'When are you open?', 'When do you close?'], answer: HOURS },
  { questions: ['Where are you located?', 'What is your address?', 'How do I get to you?'], answer: ADDRESS },
  { questions: ['How much does a room cost?', 'What are your rates?'], answer: PRICE },
  { questions: ['Do you have parking?', 'Where can I park?'], answer: PARKING },
  { questions: ['Can I bring my dog?', 'Are pets allowed?'], answer: PETS },
  { questions: ['Is breakfast included?', 'What time is breakfast?'], answer: BREAKFAST },
  { questions: ['Do you have wifi?', 'Is there internet in the room?'], answer: WIFI },
  { questions: ['What time is check-in?', 'When can I check in?'], answer: CHECK_IN },
  { questions: ['What time is check-out?', 'When do I have to leave my room?'], answer: CHECK_OUT },
  { questions: ['Can I cancel my booking?', 'What is your cancellation policy?'], answer: CANCEL },
  { questions: ['Do you have a pool?', 'Can I go swimming?'], answer: POOL },
  { questions: ['How do I get to the airport?', 'Do you have an airport shuttle?'], answer: AIRPORT },
];

/** What a caller says, and the right answer. */
export const PARAPHRASES: readonly (readonly [string, string])[] = [
  ['when do you open', HOURS],
  ['what time do you open in the morning', HOURS],
  ['how late are you open', HOURS],
  ['are you open on weekends', HOURS],
  ['until what time can i come', HOURS],
  ['where is your hotel', ADDRESS],
  ['where can i find you', ADDRESS],
  ['can you give me directions', ADDRESS],
  ['which street are you on', ADDRESS],
  ['what does a room cost per night', PRICE],
  ['how expensive is a double room', PRICE],
  ['what is the price for one night', PRICE],
  ['how much do you charge', PRICE],
  ['where do i leave my car', PARKING],
  ['is there a parking lot', PARKING],
  ['can i park my car at the hotel', PARKING],
  ['do you have a garage', PARKING],
  ['is my dog welcome', PETS],
  ['may i bring a cat', PETS],
  ['are animals allowed in the room', PETS],
  ['do you accept pets', PETS],
  ['do i get breakfast', BREAKFAST],
  ['when is breakfast served', BREAKFAST],
  ['do i have to pay extra for breakfast', BREAKFAST],
  ['is the internet free', WIFI],
  ['can i use the wireless network', WIFI],
  ['what is the wifi like', WIFI],
  ['when can i get into my room', CHECK_IN],
  ['how early can i check in', CHECK_IN],
  ['when does check in start', CHECK_IN],
  ['when must i check out', CHECK_OUT],
  ['how late can i check out', CHECK_OUT],
  ['until when can i stay in my room', CHECK_OUT],
  ['how do i cancel my reservation', CANCEL],
  ['can i get my money back if i cancel', CANCEL],
  ['i need to cancel', CANCEL],
  ['is there a swimming pool', POOL],
  ['can we swim at the hotel', POOL],
  ['how can i get to the airport', AIRPORT],
  ['is there a bus to the airport', AIRPORT],
];

/** What the front desk has no answer to. */
export const OUTSIDE: readonly string[] = [
  'tell me a joke',
  'who won the football game last night',
  'what is the capital of france',
  'my washing machine is broken',
  'can you transfer two hundred dollars to my savings account',
  'i would like to speak to a doctor',
  'how do i reset my password',
  'what is the weather like tomorrow',
  'do you sell car tires',
  'my flight was delayed',
  'how tall are you',
  'can you play some music',
  'i left my umbrella on the train',
  'what is the meaning of life',
  'is the manager a nice person',
  'do you have a restaurant',
  'is there a gym',
  'can i pay with a credit card',
  'do you have a meeting room for twenty people',
  'can i smoke on the balcony',
];
