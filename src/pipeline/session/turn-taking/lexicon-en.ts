/** The English words that show whether a sentence is finished. Lower case; contractions are one word. */

const words = (text: string): ReadonlySet<string> => new Set(text.split(/\s+/u));

/** Whole utterances that need nothing more. */
export const SHORT_ANSWERS: ReadonlySet<string> = new Set(
  [
    'yes|yeah|yep|yup|yea|ya|aye|no|nope|nah|sure|ok|okay|right|alright|all right|correct|exactly|absolutely|definitely|certainly|indeed|true|false',
    'uh huh|uh-huh|mm hmm|mhm|uh uh|nuh uh|huh|of course|of course not|not really|not yet|not now|not today|not at all|maybe|perhaps|probably',
    'probably not|maybe later|fine|good|great|perfect|wonderful|excellent|cool|nice|awesome|lovely|brilliant|please|yes please|no thanks|no thank you',
    'thanks|thank you|thanks a lot|many thanks|cheers|hi|hello|hey|hi there|hello there|hey there|good morning|good afternoon|good evening|good day',
    "bye|goodbye|bye bye|good night|see you|see you later|that's it|that's all|that is it|that is all|that's right|that is right|that's correct",
    "that's fine|that works|that's wrong|i do|i don't|i am|i'm not|i did|i didn't|i can|i can't|i have|i haven't|i will|i won't|i would|it is|it isn't",
    "it does|it doesn't|it was|it wasn't|i think so|i don't think so|i guess so|i hope so|i guess|i see|i know|i don't know|i do not know|i'm not sure",
    'no idea|none|nothing|nobody|neither|both|either|either one|any|anything|anytime|sorry|pardon|pardon me|excuse me|come again|what|why|who|where|when',
    'how|how so|what for|why not|how much|how many|how long|how far|how often|what time|which one|how come|what else|who is this|never|always|sometimes|never mind|go ahead|got it',
    'stop|wait|help|cancel|repeat|continue|next|back|skip|done|operator|agent|representative|hold on|hang on|one moment|one second|just a moment',
    'just a second|wait a minute|me too|me|you|this one|that one|so so|as soon as possible|now|right now|today|tomorrow|yesterday|tonight|same',
    "not bad|i'm good|i'm fine|i'm done|i'm here|speaking|it's me|this is her|this is he|this is him|this is she|i'm in|i'm on it|i'm back|yes and no",
  ].flatMap((line) => line.split('|')),
);

/** Said before the sentence proper. */
export const OPENERS = words(
  'yes yeah yep yup yea no nope nah sure ok okay right alright oh ah well so um uh er erm hmm hm hi hello hey now look listen actually basically honestly ' +
    'anyway please thanks and but also like',
);
/** Openers that are an answer by themselves, and what may stand before an elliptic answer. */
export const ANSWER_WORDS = words(
  'yes yeah yep yup yea no nope nah sure ok okay right alright please thanks hi hello hey oh well',
);
export const FILLERS = words('um uhm uh er erm hmm hm mm umm uhh ehm');
/** "Let me see" and the like: the caller holds the floor to think. */
export const THINKING_ALOUD =
  /(?:^| )(?:let me (?:see|think|check|look|just)|let's see|how do i (?:say|put) (?:it|this)|what's the word|you know what i|give me a (?:second|moment|minute) (?:to|while)|(?:it's|it is|that's|they're|he's|she's) (?:like|just|not just)|or maybe|and maybe|or something like|sort of|kind of|you know|i mean)$/u;

/** Two last words that end a sentence although the last one alone would not. */
export const ENDS_WELL: ReadonlySet<string> = new Set(
  (
    'think so|hope so|guess so|believe so|is so|if so|do so|how so|say so|as well|very well|quite well|so well|going well|is well|back then|since then|until then|by then|' +
    'right then|okay then|ok then|just then|know how|guess what|so what|i am|not really|of course|do that|like this|like that|like it|you like|some more|and so|so far|' +
    'for now|the least|at least|or so|and all|or not|why not|if not|no more|the most|one more|a few|only one|right there|get in|come in|go on|move on|hold on|hang on|' +
    'log in|sign in|check in|how about|what about|to do|sorry about|and more|worth it|even so|what if|not just|this one'
  )
    .split('|')
    .filter((pair) => !/^(?:how about|what about|what if|and so|not just)$/u.test(pair)),
);

/** Words, and pairs of words, that something must follow. */
export const NEVER_LAST: ReadonlySet<string> = new Set([
  ...words(
    'and or but nor because cuz cos plus if unless until while whereas whether than as although though the a an my your our their its every each ' +
      'to of from into onto via during between among per including regarding concerning despite except toward towards against upon ' +
      'well so just also very really quite pretty rather only even about-to gonna wanna gotta hafta please-could another whose ' +
      'actually basically maybe-the especially particularly like-the mr mrs ms dr let let’s',
  ),
  "let's",
  'let me',
  'the next',
  'the last',
  'the other',
  'the whole',
  'the same',
  'my first',
  'my last',
  'and then',
  'so then',
  'but then',
  'how about',
  'what about',
  'what if',
  'going to',
  'such as',
  'for example',
  'for instance',
  'what kind',
  'what sort',
  'what type',
  'you please',
  'i please',
  'we please',
]);
/** "I'm", "it's", "we'd", "who's", "there's". */
export const CONTRACTED_SUBJECTS =
  /^(?:i'(?:m|d|ll|ve)|(?:you|we|they)'(?:re|d|ll|ve)|(?:he|she|it|that|there|this|who|what|where|how|when|here|name|number)'(?:s|d|ll))$/u;
export const TAKES_THAT = words(
  'think know say said says hope believe sure told tell mean means heard see so is was noticed understand wonder afraid and but because if like thing way fact saying',
);
export const AUXILIARIES = words(
  'is are was were am be been being have has had do does did will would can could shall should may might must wanted needed seems',
);
export const NEGATED_AUXILIARIES = words(
  "isn't aren't wasn't weren't haven't hasn't hadn't don't doesn't didn't won't wouldn't can't cannot couldn't shouldn't mustn't ain't not never",
);
/** Pronouns that may be the beginning of a clause. */
export const SUBJECTS = words('i we he she they you it this these those there who');
export const ONLY_SUBJECTS = words('i we he she they');
export const SUBORDINATORS = words(
  'and but or because if that when whether so unless until while since as where how than',
);
/** Articles and possessives: the word after them is a noun or its adjective, never the verb. */
export const NOUN_AFTER = words('the a an my your his our their its some any this these those no every each');

export const PREPOSITIONS = words(
  'at for with about by in on up off out over down through around across after before without near under behind along since beyond within ' +
    'above below beside besides inside outside like',
);
/** Adverbs of a verb as well: "check in", "log on", "call off". */
export const PARTICLES = words(
  'in on up off out over down through around along by like inside outside with for about at',
);
export const PARTICLE_VERBS = words(
  'check checking checked sign signing signed log logging logged turn turning come coming came go going went gone hold hang pick picking picked set find ' +
    'found give drop fill filled work working worked call calling get getting got look make back shut take took taking move moving figure break broke ' +
    'broken wake stand sit run running ran book put bring follow start end ended clear close opt pass pay paid speak speed cut send show showed warm switch zoom keep ' +
    'carry carried went dropped moved stay staying stopped let plug drive line open add sort write wrote hear heard it them him her me that this all be',
);
/** After a verb they are adverbs: "I have called before". */
export const MAY_STAND_ALONE = words(
  'before after around since without inside outside below above near over off out up down through along behind',
);

/** Verbs that want an object. */
export const TRANSITIVE = words(
  'want need like get make put give take bring tell ask say wondering wonder mean buy find show send hear think prefer wants needs gave took got bought found ' +
    'said told asked put use discuss hoping trying want looking said called named book order reserve schedule change cancel reschedule update check know see add remove ' +
    'change speak pay call help confirm receive received',
);
/** Of them, those that can do without: "I would like to order", "I need to cancel". */
export const LOOSELY_TRANSITIVE = words(
  'book order reserve schedule cancel change reschedule update check know see pay call help confirm speak called looking trying think ask hear',
);
/** "That is all I need", "the one I want": what the verb governs stands before it. */
export const RELATIVE_HEADS = words('all one thing everything anything something nothing only best least same');

export const QUESTION_WORDS = words('what when where why who which how whose');
/** What governs the last word may have been said with these. */
export const GAP_OPENERS =
  /^(?:what|where|who|whom|which|when|how|why|that's|someone|something|anything|everything|nothing|somebody|anyone|what's|who's|where's|one)$/u;

/** Question words and auxiliaries with nothing to be asked about yet. */
export const UNFINISHED_QUESTION =
  /^(?:how (?:much|many|long|far|often|big)|what (?:kind|sort|type|time|day|date|color|colour|size|number)|which|(?:can|could|would|will|do|does|did|is|are|was|may|should|have|has) (?:i|you|we|he|she|they|it|there|the|this|that)(?: (?:please|also|just))?)$/u;
/** A clause that another one must follow. */
export const CLAUSE_OPENERS =
  /^(?:if|unless|when (?:i|we|he|she|they|my|the) (?!do\b|can\b|is\b|are\b|does\b|will\b)|while|whenever|once|although|even though|as soon as (?:i|we|you|he|she|they|my|the)|since (?:i|we|you|my|the)|before (?:i|we|you|my|the)|after (?:i|we|you|my|the))(?: |$)/u;
export const QUESTION_START =
  /^(?:(?:what|where|when|why|who|whose|which|how|what's|where's|who's|how's|when's)|(?:can|could|would|will|do|does|did|is|are|was|were|am|may|shall|should|have|has|isn't|aren't|don't|doesn't|didn't|can't|couldn't|won't|wouldn't|haven't|hasn't)) /u;
export const REQUEST_START =
  /^(?:(?:just|then|now) )?(?:book|cancel|change|call|tell|give|send|transfer|connect|put|stop|wait|repeat|help|show|speak|say|make|check|hold|let's|let|move|reschedule|take|read|turn|leave|try|forget|confirm|remove|add|order|go|come|get|find|schedule|reserve|set|spell|use|ask|hang|keep|don't|do not|switch|text|email|remind|look|start|schick|play|open|close) \S/u;
const TIME_WORD =
  "today|tomorrow|yesterday|tonight|now|monday|tuesday|wednesday|thursday|friday|saturday|sunday|january|february|march|april|may|june|july|august|september|october|november|december|morning|afternoon|evening|night|noon|midnight|weekend|week|month|year|am|pm|o'clock|minutes?|hours?|days?|weeks?|months?|years?|spring|summer|autumn|fall|winter|later|soon|earlier|once|twice";
const COUNT_WORD =
  'one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand|first|second|third|fourth|fifth|half|quarter|\\d+(?:[:.,]\\d+)*(?:st|nd|rd|th|am|pm)?';
/** Up to six words that answer a question: a time, a count, a thing with its article, a preposition with its noun. */
export const SHORT_ANSWER = new RegExp(
  [
    String.raw`^(?:\S+ ){0,4}(?:${TIME_WORD})$`,
    String.raw`^(?:\S+ ){0,3}(?:${COUNT_WORD})(?: (?:${COUNT_WORD}|\S+))?$`,
    String.raw`^(?:the|a|an|my|your|our|this|that|his|her|any|some|no|all|both|just|only|not|very) \S+(?: \S+){0,2}$`,
    String.raw`^(?:at|for|with|about|by|in|on|to|from|after|before|near|around|under|over|without|until) \S+(?: \S+){0,4}$`,
    String.raw`^(?:thanks|thank you) .+$`,
    String.raw`^(?:good|great|perfect|fine|wonderful|excellent|sounds good|sounds great|nice|glad)(?: \S+){0,3}$`,
    String.raw`^.* (?:please|thanks|thank you|too|as well|though|instead|again|anymore|already|yet|either|bye|goodbye)$`,
    String.raw`^because (?:\S+ ){2,}\S+$`,
  ].join('|'),
  'u',
);
