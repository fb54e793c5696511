from .applications.harmonize import harmonize as harmonize
from .applications.keep_details import keep_details as keep_details
from .applications.registry import preset as preset
from .applications.restyle_region import restyle_region as restyle_region
from .applications.stylize import stylize as stylize
from .errors import InputError as InputError
from .images.files import read_image as read_image
from .images.files import read_mask as read_mask
from .images.files import write_image as write_image
from .images.selection import select as select
from .images.selection import select_in_box as select_in_box
from .images.selection import select_polygon as select_polygon
from .network.features import VGG19 as VGG19
from .network.weights import find_weights as find_weights
from .settings import Settings as Settings
from .settings import change as change
from .solving.checkpoint import Checkpoint as Checkpoint
from .solving.run import Progress as Progress
from .solving.run import Result as Result
from .stopping import Stop as Stop
from .stopping import Stopped as Stopped
from .stopping import stop_on_signals as stop_on_signals

__version__: str
