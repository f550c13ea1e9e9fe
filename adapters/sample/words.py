"""What does the shop of the sample year sell, and what do people there say? Made up, every word of it."""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = [
    "CAMPAIGNS",
    "COMPLAINTS",
    "NAMES",
    "PRODUCTS",
    "REVIEWS",
    "SURVEYS",
    "TALKS",
    "Campaign",
    "Product",
    "Talk",
]


class Product(NamedTuple):
    """One thing that is sold; the price in pence."""

    code: str
    name: str
    category: str
    pence: int


class Campaign(NamedTuple):
    """A letter that went to customers in a month, with its cost in pounds."""

    code: str
    subject: str
    month: int
    day: int
    cost: int


class Talk(NamedTuple):
    """A short exchange: what it is about (a code and a few words), and what is said in turns, the customer first."""

    reason: str
    subject: str
    turns: tuple[str, ...]


PRODUCTS: Final = (
    Product("PK-101", "Birthday card, kite over rooftops", "cards", 325),
    Product("PK-102", "Thank-you cards, set of 8", "cards", 950),
    Product("PK-103", "Christmas cards, robin, set of 10", "cards", 1100),
    Product("PK-104", "Condolence card, winter field", "cards", 325),
    Product("PK-201", "Writing paper, laid, cream, 50 sheets", "paper", 1450),
    Product("PK-202", "Notebook A5, dotted, linen cover", "paper", 1650),
    Product("PK-203", "Sketchbook A4, 160 g", "paper", 1890),
    Product("PK-204", "Wrapping paper, recycled, 3 sheets", "paper", 600),
    Product("PK-301", "Fountain pen, beginner's, fine nib", "pens", 2200),
    Product("PK-302", "Fountain pen, brass, medium nib", "pens", 6400),
    Product("PK-303", "Ink, midnight blue, 50 ml", "pens", 1150),
    Product("PK-304", "Ink, waterproof black, 50 ml", "pens", 1350),
    Product("PK-305", "Pencil set, 12 hardnesses", "pens", 1790),
    Product("PK-401", "Paper kite to make, children from 6", "gifts", 1250),
    Product("PK-402", "Origami box with 100 sheets", "gifts", 1550),
    Product("PK-403", "Sealing wax and stamp, your initial", "gifts", 2450),
    Product("PK-404", "Calendar, letterpress", "gifts", 2800),
    Product("PK-405", "Gift voucher", "gifts", 2500),
)

CAMPAIGNS: Final = (
    Campaign("valentine-2025", "Say it on paper", 2, 3, 140),
    Campaign("spring-2025", "New notebooks, and a word on ink", 3, 20, 180),
    Campaign("summer-2025", "Kites for the long evenings", 6, 12, 210),
    Campaign("autumn-2025", "Letters for darker days", 9, 25, 190),
    Campaign("christmas-2025", "Cards that arrive in time", 11, 17, 420),
)

NAMES: Final = (
    *("Zoë Lindqvist", "George Whitlock", "Amelia Hart", "Siobhán Ní Dhomhnaill", "José Muñoz", "François Lefèvre"),
    *("Agnieszka Wójcik", "Björn Åkesson", "Jürgen Groß", "Chloë O'Brien", "Nguyễn Thị Lan", "Ömer Çelik"),
    *(
        "田中 美咲",
        "王 小明",
        "Олена Шевченко",
        "Νίκος Παπαδόπουλος",
        "ליאור כהן",
        "فاطمة الزهراء",
        "अनिता शर्मा",
        "김지우",
    ),
    *("Priya Raman", "Oluwaseun Adeyemi", "Hannah Cartwright", "Tomáš Dvořák", "Aoife Byrne", "Marcus Bell"),
    *("Grace Okafor", "Daniel Price", "Ruth Abernathy", "Samuel Osei", "Imogen Clarke", "Peter van der Berg"),
    *("Lucía Fernández", "Thomas Ashdown", "Beatrix Moor", "Leo Marchetti", "Freya Sørensen", "Callum Reid"),
    *("Nadia Haddad", "Edith Penrose", "Rhys Llewellyn", "Maud Fairweather", "Ivy Prescott", "Oscar Lindgren"),
)

TALKS: Final = (
    Talk(
        "delivery",
        "Where the parcel is",
        (
            "Hello, my parcel was due on Tuesday and the tracking has not moved since.",
            "I am sorry about that. Let me look at the depot's list, one moment please.",
            "Thank you. It is a birthday present, so it does matter.",
            "Found it: it went on the van this morning. You will have it before six.",
            "That's a relief. Thanks for being so quick.",
        ),
    ),
    Talk(
        "product",
        "Whether the ink is waterproof",
        (
            "Is the midnight blue ink waterproof once it is dry? I address envelopes with it.",
            "It resists a few drops, but rain would take it. The black one (PK-304) is waterproof.",
            "Will it clog a fountain pen?",
            "Not if you use the pen every week and rinse it once a month.",
        ),
    ),
    Talk(
        "product",
        "A nib that scratches",
        (
            "The brass pen scratches when I write with the left hand. Is there a softer nib?",
            "There is a left-handed nib that we fit for free. Could you bring or send the pen in?",
            "I pass by on Saturday anyway, I'll bring it.",
        ),
    ),
    Talk(
        "invoice",
        "An invoice with the company's name",
        (
            "Could you put our company's name on the invoice? The accountant insists.",
            "Of course. Which name and address shall stand there?",
            "The name on my profile is right, and the address of the last order.",
            "Done, the new invoice is in your mailbox.",
        ),
    ),
    Talk(
        "delivery",
        "Sending to another address",
        (
            "I have just ordered and forgot that I am away. Can you send it to my neighbour?",
            "Yes, it is not packed yet. What is the name on the door?",
            "It says Fairweather, number 14.",
            "Changed. It leaves tomorrow.",
        ),
    ),
)

COMPLAINTS: Final = (
    ("damaged", "The calendar arrived bent", "The box was fine, but the calendar inside has a fold across it."),
    (
        "wrong_item",
        "Wrong cards in the box",
        "I ordered thank-you cards and there are condolence cards in the parcel.",
    ),
    ("missing", "One bottle of ink is missing", "The list says two bottles of ink; there was one in the parcel."),
    ("late", "Cards came after the party", "I paid for next-day delivery and the cards took five days."),
)

REVIEWS: Final = (
    (5, "Paper you want to write on", "No bleed, no feathering, and it smells like my grandmother's desk."),
    (5, "Lovely shop, lovely people", "They wrapped it without being asked and put a paper kite on top."),
    (4, "Good pen, slow post", "The pen is worth every penny. The parcel took its time."),
    (3, "Nice, but pricey", "Good quality. I would buy more if the cards were sold one by one."),
    (2, "Pages came loose", "After a month the first pages of the notebook are falling out."),
)

SURVEYS: Final = (
    (5, "Answered in a minute, and kindly."),
    (5, "Could not be better."),
    (4, ""),
    (4, "Friendly. The wait was a little long."),
    (3, "It works now, but I had to explain it twice."),
    (1, "Nobody called me back."),
)
